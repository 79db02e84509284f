"""What the documents show is what agentd does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from agentd.config import load_config
from agentd.settings import Config
from agentd.sinks.text import HEADING

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


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!http)[^)]+)\)", README))))
def test_the_readmes_links_lead_somewhere(link: str) -> None:
    """Each file that README.md links to is there."""
    assert (ROOT / link).exists()
