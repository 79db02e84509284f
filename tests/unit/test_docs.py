"""What the documents show is what agentd does."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest

from agentd.cli.parser import make_parser
from agentd.config.load import load_config
from agentd.config.schema import Config
from agentd.sinks.render.text import HEADING

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/events.schema.json").read_text())
EXAMPLES = re.findall(r"```json\n(.*?)```", (ROOT / "docs/events.md").read_text(), re.S)
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("line", EXAMPLES[0].splitlines())
def test_the_examples_follow_the_schema(line: str) -> None:
    """Each line shown in docs/events.md is valid against the schema."""
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(line))


def test_every_field_of_the_schema_is_described() -> None:
    """docs/events.md names each property that the schema allows."""
    text = (ROOT / "docs/events.md").read_text()
    for section, schema in SCHEMA["properties"].items():
        for name in schema.get("properties", {}):
            assert f"`{section}.{name}`" in text or f"`.{name}`" in text, (section, name)


def test_the_readmes_event_follows_the_schema() -> None:
    """The event shown in README.md is valid too."""
    (event,) = re.findall(r"```json\n(.*?)```", README, re.S)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(event))


def test_the_readmes_text_is_the_text_format() -> None:
    """The output shown in README.md has the heading that agentd writes."""
    assert HEADING in README


@pytest.mark.parametrize("setting", re.findall(r"--set (\S+=\S*?)(?=['`\s])", README))
def test_the_readmes_settings_exist(setting: str) -> None:
    """Each --set that README.md shows is accepted."""
    assert isinstance(load_config(None, [setting]), Config)


def _commands() -> list[str]:
    """Each line of a page that begins with agentd, or the path to it."""
    pages = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
    shape = r"^(?:    |\$ )(?:\.venv/bin/)?(agentd [a-z][^\n]*)"
    lines = [line for page in pages for line in re.findall(shape, page.read_text(), re.M)]
    commands = [part.strip() for line in lines for part in re.split(r" #|;|\|", line)]
    return [command.removeprefix(".venv/bin/") for command in commands if "agentd " in command]


@pytest.mark.parametrize("command", sorted(set(_commands())), ids=str)
def test_commands_in_pages_are_accepted(command: str) -> None:
    """Whatever stands after ``agentd`` in a page is a command line that it takes."""
    words = [word.replace("[PID]", "1") for word in shlex.split(command)[1:]]
    numbers = ["4711" if word in ("PID", "PID|ENTITY_ID") else word for word in words]
    make_parser().parse_args(numbers)


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda page: page.name
)
def test_links_lead_somewhere(page: Path) -> None:
    """Each file and heading that a page links to is there."""
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", page.read_text()):
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if heading:
            words = [line.lstrip("# ").lower() for line in target.read_text().splitlines()]
            assert heading in {word.replace(" ", "-") for word in words}, link


def test_the_places_of_the_architecture_exist() -> None:
    """Each path in docs/architecture.md is there."""
    text = (ROOT / "docs/architecture.md").read_text()
    places = re.findall(r"\b(?:agentd|bpf|tests)/[\w/.]*\w", text)
    assert len(places) > 25
    assert [place for place in places if not (ROOT / place).exists()] == []


def _in_pages(shape: str) -> set[str]:
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("config/*/*"), ROOT / "README.md"]
    return {name for page in pages for name in re.findall(shape, page.read_text())}


def test_the_metrics_that_pages_name_are_exported() -> None:
    """Alerts, dashboards and documents speak of what docs/metrics.md has."""
    table = (ROOT / "docs/metrics.md").read_text()
    known = set(re.findall(r"^\| `(agentd_\w+)`", table, re.M))
    recorded = {"agentd_events", "agentd_lost_events", "agentd_cpu_seconds_per_event"}
    recorded |= {"agentd_event_latency_seconds", "agentd_journal"}
    parts = {f"{name}_{part}" for name in known for part in ("bucket", "sum", "count")}
    named = _in_pages(r"\b(agentd_[a-z]\w+)\b")
    assert named - known - parts - recorded <= {"agentd_file", "agentd_agentd", "agentd_place"}


def test_the_settings_that_pages_name_exist() -> None:
    """Each ``section.key`` in the documents is a key."""
    sections = {field.name for field in dataclasses.fields(Config)}
    named = _in_pages(rf"`((?:{'|'.join(sections)})\.\w+)[` ]")
    for name in named:
        section, key = name.split(".")
        assert hasattr(getattr(Config(), section), key), name
