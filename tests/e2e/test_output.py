"""What agentd writes is what its documents say."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import running

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs/events.schema.json").read_text())


def _validate(lines: list[dict[str, Any]]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for line in lines:
        validator.validate(line)


def test_json_follows_the_schema(cgroup: Cgroup, tmp_path: Path) -> None:
    """fork, exec and exit, of all sorts, are valid against docs/events.schema.json, in order."""
    script = "/bin/true a; (exit 3); sh -c 'kill -9 $$'; exec /bin/true"
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/bash", "-c", script], stderr=subprocess.DEVNULL)
        agent.wait_for_events(11)
        assert agent.stop() == 0
        lines = agent.lines()
    _validate(lines)
    actions = [line["event"]["action"] for line in lines]
    assert sorted(actions) == ["exec"] * 4 + ["exit"] * 4 + ["fork"] * 3
    assert [line["event"]["sequence"] for line in lines] == list(range(len(lines)))
    stamps = [line["agentd"]["boottime_ns"] for line in lines]
    assert stamps == sorted(stamps)
    assert {line["agentd"].get("signal") for line in lines} == {None, 9}
    assert 3 in {line["process"].get("exit_code") for line in lines}
    assert lines[-2]["event"]["type"] == ["change"]


def test_parents_are_named_by_their_own_entity_id(cgroup: Cgroup, tmp_path: Path) -> None:
    """A child's parent has the entity_id, name and executable that the parent itself has."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/bash", "-c", "/bin/true; :"])
        agent.wait_for_events(5)
        agent.stop()
        bash, fork, execed, *_ = (line["process"] for line in agent.lines())
    assert fork["parent"]["entity_id"] == bash["entity_id"]
    assert fork["parent"]["name"] == "bash"
    assert execed["parent"]["executable"] == "/bin/bash"
    assert execed["entity_id"] == fork["entity_id"] != bash["entity_id"]


def test_bytes_that_are_no_text_are_recoverable(cgroup: Cgroup, tmp_path: Path) -> None:
    """What is not UTF-8 comes out as valid JSON, and as base64 beside it."""
    odd = b"\xff\x1b[31m\n\xe2\x82"
    program = tmp_path / os.fsdecode(b"pro\xfegram")
    program.symlink_to("/bin/true")
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run([str(program), os.fsdecode(odd)])
        agent.wait_for_events(2)
        agent.stop()
        lines = agent.lines()
        assert agent.text().isascii()
    _validate(lines)
    raw = lines[0]["agentd"]["raw"]
    assert base64.b64decode(raw["args"]) == os.fsencode(program) + b"\0" + odd + b"\0"
    assert base64.b64decode(raw["executable"]) == os.fsencode(program)
    assert base64.b64decode(raw["name"]) == b"pro\xfegram"
    assert lines[0]["process"]["name"] == "pro\ufffdgram"


def test_losses_are_events_of_the_stream(cgroup: Cgroup, tmp_path: Path) -> None:
    """With a ring too small, lost events are in the stream and the sums are exact."""
    options = ("--output", "json", "--set", "transport.ring_bytes=4096")
    with running(tmp_path, cgroup.path, *options) as agent:
        cgroup.run(["/bin/bash", "-c", "for i in {1..400}; do (:); done"])
        deadline_events = 3
        agent.wait_for_events(deadline_events)
        assert agent.stop() == 0
        lines = agent.lines()
    _validate(lines)
    missing = sum(line["agentd"]["lost"]["count"] for line in lines if "process" not in line)
    assert missing > 0
    assert missing + sum("process" in line for line in lines) == 802
    stamps = [line["agentd"]["boottime_ns"] for line in lines]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("output", ["text", "json"])
def test_piped_output_has_no_escapes(cgroup: Cgroup, tmp_path: Path, output: str) -> None:
    """Nothing that a terminal would obey is written, whatever the arguments hold."""
    with running(tmp_path, cgroup.path, "--output", output) as agent:
        cgroup.run(["/bin/true", "\x1b]0;title\x07", "\x9b31m", "a\rb"])
        agent.wait_for_events(2)
        agent.stop()
        text = agent.text()
    assert all(character.isprintable() or character == "\n" for character in text)


def test_text_is_aligned(cgroup: Cgroup, tmp_path: Path) -> None:
    """Text output has a heading and one line an event, in columns."""
    with running(tmp_path, cgroup.path) as agent:
        cgroup.run(["/bin/sh", "-c", "/bin/true 'a b'; exit 4"])
        agent.wait_for_events(5)
        agent.stop()
        heading, *lines = agent.text().splitlines()
    column = heading.index("WHAT")
    assert [line[column - 1] for line in lines] == [" "] * 5
    assert lines[2][column:] == "/bin/true 'a b'"
    assert lines[4][column:].startswith("sh status 4 after ")


def test_none_writes_nothing(cgroup: Cgroup, tmp_path: Path) -> None:
    """--output none writes no event, and counts them all the same."""
    with running(tmp_path, cgroup.path, "--output", "none") as agent:
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        agent.stop()
        assert agent.text() == ""
