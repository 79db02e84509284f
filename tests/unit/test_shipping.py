"""config/shipping: what can be checked without the tools themselves (docs/shipping.md)."""

from __future__ import annotations

import configparser
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentd.config.schema import Metrics
from tests.requirements import need_library
from tests.shown.pages import ROOT, all_blocks

SHIPPING = ROOT / "config/shipping"
SCHEMA = json.loads((ROOT / "docs/events.schema.json").read_text())
RFC3339_NANO = "2006-01-02T15:04:05.999999999Z07:00"
"""Go's name of a layout that reads a time zone; a Z alone would be any letter's equal."""


def _events() -> list[str]:
    """Real lines, those of docs/events.md."""
    (shown,) = (block.text for block in all_blocks() if block.name == "events")
    return shown.splitlines()


def _is_field(path: list[str]) -> bool:
    """Whether the schema has such a field."""
    field = SCHEMA
    for name in path:
        field = field.get("properties", {}).get(name)
        if field is None:
            return False
    return True


def _yaml(name: str) -> Any:
    return yaml.safe_load((SHIPPING / name).read_text())


def _our_file() -> str:
    """Where docs/service.md sends events that do not go to the journal."""
    (drop_in,) = (b.text for b in all_blocks() if b.kind == "ini" and "append:" in b.text)
    return drop_in.split("append:")[1].split()[0]


def _our_unit() -> str:
    (unit,) = (path.name for path in (ROOT / "systemd").glob("agentd.service"))
    return unit


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="pyvrl has wheels for 3.11 alone")
def test_vectors_program() -> None:
    """Vector's own VRL compiles it; each event comes out as it went in; the log does not."""
    pyvrl = need_library("pyvrl")
    config = _yaml("vector.yaml")
    program = pyvrl.Transform(config["transforms"]["agentd_events"]["source"])
    for line in _events():
        assert program.remap({"message": line}) == json.loads(line)
    with pytest.raises(ValueError, match="unable to parse json"):
        program.remap({"message": "attached"})
    assert config["transforms"]["agentd_events"]["drop_on_error"] is True


def test_vectors_components() -> None:
    """Each reads from one that is there, the first from our unit."""
    config = _yaml("vector.yaml")
    assert config["sources"]["agentd_journal"]["include_units"] == [_our_unit()]
    known = {*config["sources"], *config["transforms"]}
    for component in (*config["transforms"].values(), *config["sinks"].values()):
        assert set(component["inputs"]) <= known


def test_the_collectors_components() -> None:
    """Those of its pipelines are there; it reads our file, our port and our time."""
    config = _yaml("otel-collector.yaml")
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= set(config["receivers"])
        assert set(pipeline["exporters"]) <= set(config["exporters"])
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    file = config["receivers"]["filelog/agentd"]
    assert file["include"] == [_our_file()]
    assert file["storage"] in config["extensions"]
    (parser,) = file["operators"]
    path = re.fullmatch(r'body\["(.*)"\]', parser["timestamp"]["parse_from"])
    assert path is not None
    assert _is_field([path[1]])
    assert parser["timestamp"]["layout_type"] == "gotime"
    assert parser["timestamp"]["layout"] == RFC3339_NANO
    (scrape,) = config["receivers"]["prometheus/agentd"]["config"]["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": [Metrics().listen]}]


def _fluent_bit(name: str) -> list[tuple[str, dict[str, str]]]:
    """Its sections in order."""
    tree_sitter = need_library("tree_sitter")
    grammar = need_library("tree_sitter_fluentbit")
    text = (SHIPPING / name).read_bytes()
    root = tree_sitter.Parser(tree_sitter.Language(grammar.language())).parse(text).root_node
    assert not root.has_error
    sections = []
    for node in root.children:
        if node.type == "section":
            body = node.child_by_field_name("body").named_children
            parts = [part.named_children for part in body]
            entries = {key.text.decode(): value.text.decode() for key, value in parts}
            kind = node.child_by_field_name("header").text.decode()
            sections.append((kind.strip("[]\n "), entries))
    return sections


def test_fluent_bits_sections() -> None:
    """They parse, belong together, read our unit, and find the time of a real event."""
    (service, journal, parse, output) = (entries for _, entries in _fluent_bit("fluent-bit.conf"))
    ((kind, parser),) = _fluent_bit("fluent-bit-parsers.conf")
    assert kind == "PARSER"
    assert (SHIPPING / service["Parsers_File"]).is_file()
    assert journal["Systemd_Filter"] == f"_SYSTEMD_UNIT={_our_unit()}"
    assert journal["Tag"] == parse["Match"] == output["Match"]
    assert parse["Parser"] == parser["Name"]
    assert (parse["Key_Name"], parser["Format"]) == ("MESSAGE", "json")
    assert _is_field([parser["Time_Key"]])
    for line in _events():  # %L is a fraction; of nine digits Python takes six
        moment = json.loads(line)[parser["Time_Key"]]
        shape = parser["Time_Format"].replace("%L", "%f")
        datetime.strptime(re.sub(r"(\.\d{6})\d*Z$", r"\1", moment), shape)


def _alloy() -> dict[str, Any]:
    """Its blocks. The syntax is HCL's, but for dots in the names of blocks."""
    hcl2 = need_library("hcl2")
    text = (SHIPPING / "config.alloy").read_text()
    names = re.compile(r"^(\s*)(\w+(?:\.\w+)+)(?=(?: \"\w+\")? \{)", re.M)
    blocks: dict[str, Any] = hcl2.loads(names.sub(lambda f: f[1] + f[2].replace(".", "__"), text))
    return blocks


def _unquoted(value: Any) -> Any:
    """Values of python-hcl2, which newer versions give with their quotes."""
    return value.strip('"') if isinstance(value, str) else value


def test_alloys_components() -> None:
    """Each sends to one that is there."""
    text = (SHIPPING / "config.alloy").read_text()
    names = {
        f"{kind.replace('__', '.')}.{_unquoted(label)}"
        for kind, blocks in _alloy().items()
        for block in blocks
        for label in block
    }
    targets = re.findall(r"forward_to\s*= \[([\w.]+)\.receiver\]", text)
    assert len(targets) == text.count("forward_to")
    assert set(targets) <= names
    assert f'"_SYSTEMD_UNIT={_our_unit()}"' in text
    assert f'__address__ = "{Metrics().listen}"' in text


def test_alloys_expressions() -> None:
    """JMESPath finds in real events what the stages are about."""
    jmespath = need_library("jmespath")
    text = (SHIPPING / "config.alloy").read_text()
    (found,) = re.findall(r"expressions = (\{.*\})", text)
    expressions = dict(re.findall(r'(\w+) = ("(?:[^"\\]|\\.)*")', found))
    assert expressions
    for line in _events():
        event = json.loads(line)
        values = {n: jmespath.search(json.loads(e), event) for n, e in expressions.items()}
        assert values == {"action": event["event"]["action"], "time": event["@timestamp"]}
    assert 'format = "RFC3339Nano"' in text


def test_journal_uploads_section() -> None:
    """systemd's syntax; make test-systemd runs the tool itself."""
    config = configparser.RawConfigParser()
    config.read_string((SHIPPING / "journal-upload.conf").read_text())
    assert config.sections() == ["Upload"]
    assert "upload" in (Path(ROOT) / "tests/vm/systemd-guest").read_text()
