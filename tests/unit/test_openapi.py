"""docs/openapi.json, agentd.filters.parameters"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from agentd.core.names import Names
from agentd.core.tree.tree import Tree
from agentd.filters import parameters
from agentd.filters.facts import FactFinder
from agentd.filters.parameters import EXITED, FORMAT, SECONDS, UTC_OFFSET, ParameterError
from agentd.snapshot.answers import Subject
from tests.questions import answered
from tests.records import TICK_NS, WIRE, execed, exited, fork, lost, tree_limits

ROOT = Path(__file__).resolve().parents[2]
MADE: dict[str, Any] = runpy.run_path(str(ROOT / "packaging/openapi.py"))
ENTITY = "0123456789abcdef"


def validator(name: str) -> Draft202012Validator:
    """Of one of the document's schemas."""
    document = MADE["description"]()
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})


def test_the_document_is_fresh() -> None:
    """If not: ``make docs``."""
    assert (ROOT / "docs/openapi.json").read_text() == MADE["text"]()


def test_each_path_and_parameter_is_described() -> None:
    """Those of the table that requests are read by, and no others."""
    document = MADE["description"]()
    described = {
        path: [parameter["name"] for parameter in methods["get"].get("parameters", ())]
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
    }
    assert described == {
        path.path: [parameter.name for parameter in path.parameters] for path in parameters.ALL
    }


def test_schemas_are_schemas() -> None:
    """JSON Schema of OpenAPI 3.1."""
    for schema in MADE["SCHEMAS"].values():
        Draft202012Validator.check_schema(schema)


def _subject() -> Subject:
    """A shell after a loss, and its child that was killed."""
    tree = Tree(tree_limits(), TICK_NS)
    shell: dict[str, Any] = {"tgid": 10, "start_boottime_ns": 100, "uid": 0}
    child: dict[str, Any] = {"tgid": 11, "start_boottime_ns": 200, "uid": 7}
    child |= {"parent_tgid": 10, "parent_start_boottime_ns": 100}
    tree.apply(fork(boottime_ns=100, **shell))
    tree.apply(execed(b"/bin/sh", b"sh\0-c\0", boottime_ns=150, session=10, **shell))
    tree.apply(fork(boottime_ns=200, **child))
    tree.apply(execed(b"/bin/b", b"b\0\xff\0", boottime_ns=300, session=10, **child))
    tree.apply(exited(boottime_ns=400, exit_code=9, **child))
    tree.doubts.lose(lost(500))
    names = Names(lambda cgroup: None, {0: "root"}.get, {0: "root"}.get)
    return Subject(tree, ENTITY, lambda: 0, FactFinder(tree, WIRE, names, ENTITY))


@pytest.mark.parametrize("pid", [10, 11])
def test_an_explanation_is_as_described(pid: int) -> None:
    """With ancestors, children, images and losses; nothing that the document does not have."""
    status, body = answered(_subject(), "/v1/explain", f"id={pid}")
    assert status == 200
    explanation = json.loads(body)
    assert explanation["gaps"]
    validator("Explanation").validate(explanation)
    with pytest.raises(ValidationError):
        validator("Explanation").validate(explanation | {"more": 1})


def test_processes_are_as_described() -> None:
    """Each line, of one that lives and one that has exited."""
    status, body = answered(_subject(), "/v1/processes", "exited=1")
    lines = body.splitlines()
    assert (status, len(lines)) == (200, 2)
    for line in lines:
        validator("Process").validate(json.loads(line))


@pytest.mark.parametrize("query", ["id=x", "id=99", ""])
def test_a_refusal_is_as_described(query: str) -> None:
    """An object with one sentence."""
    status, body = answered(_subject(), "/v1/explain", query)
    assert status in (400, 404)
    validator("Error").validate(json.loads(body))


def test_an_unknown_choice_is_refused() -> None:
    """By name, with those that there are; in the copy of the daemon, too."""
    with pytest.raises(ParameterError, match="there is no format xml; there is json, text, colour"):
        FORMAT.read({"format": ["json", "xml"]})
    status, body = answered(_subject(), "/v1/processes", "exited=yes")
    assert (status, json.loads(body)["error"]) == (400, "there is no exited yes; there is 0, 1")


@pytest.mark.parametrize("text", ["", "x", "0", "0.09", "3601", "inf", "nan", "-1", "1e999"])
def test_numbers_have_bounds(text: str) -> None:
    """And what is no number is none of them."""
    with pytest.raises(ParameterError, match=r"seconds=.*: not from 0.1 to 3600"):
        SECONDS.number({"seconds": [text]})


@pytest.mark.parametrize("text", ["x", "1.5", "1e3", "86401", "-86401", "9" * 5000, "\u0663"])
def test_whole_numbers_are_whole(text: str) -> None:
    """And have bounds, too."""
    with pytest.raises(ParameterError, match="utc_offset="):
        UTC_OFFSET.whole_number({"utc_offset": [text]})


def test_defaults() -> None:
    """For what a request does not say."""
    assert (FORMAT.read({}), EXITED.read({}), SECONDS.number({})) == ("json", "0", 1.0)
    assert UTC_OFFSET.whole_number({}) is None
    assert UTC_OFFSET.whole_number({"utc_offset": ["-3600"]}) == -3600
