"""What agentd writes is what its documents say."""

from __future__ import annotations

import base64
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running

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


def test_the_schema_is_strict(cgroup: Cgroup, tmp_path: Path) -> None:
    """A line with a field too much, too few, or of another action is not valid."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/sh", "-c", "/bin/true; kill -9 $$"])
        agent.wait_for_events(5)
        agent.stop()
        execed, fork, _, true, killed = agent.lines()
    _validate([execed, fork, true, killed])
    wrong: list[dict[str, Any]] = [
        fork | {"more": 1},
        fork | {"process": fork["process"] | {"exit_code": 0}},
        fork | {"process": fork["process"] | {"start": None}},
        fork | {"event": fork["event"] | {"type": ["change"]}},
        fork | {"event": fork["event"] | {"action": "exit", "type": ["end"]}},
        {key: value for key, value in fork.items() if key != "process"},
        execed | {"agentd": execed["agentd"] | {"flags": ["unheard-of"]}},
        true | {"process": true["process"] | {"exit_code": 256}},
        true | {"agentd": true["agentd"] | {"signal": 9}},
        killed | {"process": killed["process"] | {"exit_code": 0}},
        killed | {"agentd": {k: v for k, v in killed["agentd"].items() if k != "signal"}},
    ]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [line for line in wrong if validator.is_valid(line)] == []


def test_parents_are_named_by_their_own_entity_id(cgroup: Cgroup, tmp_path: Path) -> None:
    """A child's parent has the entity_id, name and executable that the parent itself has."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/bash", "-c", "/bin/true; :"])
        agent.wait_for_events(5)
        agent.stop()
        bash, fork, execed, *_ = (line["process"] for line in agent.lines())
    assert fork["parent"]["entity_id"] == bash["entity_id"]
    assert fork["parent"]["name"] == "bash"
    assert execed["parent"]["executable"] == os.path.realpath("/bin/bash")
    assert execed["entity_id"] == fork["entity_id"] != bash["entity_id"]


def test_parent_that_ran_before(cgroup: Cgroup, tmp_path: Path) -> None:
    """A process that agentd found running has one entity_id, with what /proc knew of it."""
    command = ["/bin/sh", "-c", "read go; /bin/true; exit 4"]
    with (
        cgroup.popen(command, stdin=subprocess.PIPE) as shell,
        running(tmp_path, cgroup.path, "--output", "json") as agent,
    ):
        shell.communicate("go\n", ENOUGH_SECONDS)
        agent.wait_for_events(4)
        agent.stop()
        fork, execed, true, end = (line["process"] for line in agent.lines())
    assert end["exit_code"] == 4
    assert end["args"] == command
    assert end["executable"] == str(Path("/bin/sh").resolve())
    parents = [child["parent"] for child in (fork, execed, true)]
    expected = {key: end[key] for key in ("pid", "entity_id", "name", "executable")}
    assert parents == [expected] * 3
    assert {child["entity_id"] for child in (fork, execed, true)} == {fork["entity_id"]}


def test_times_are_those_of_the_wall_clock(cgroup: Cgroup, tmp_path: Path) -> None:
    """@timestamp, start and end are times of day in UTC, in their order, to the nanosecond."""
    slack_ns = 100_000_000  # the clocks may be slewed against each other meanwhile
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        before_ns = time.time_ns()
        cgroup.run(["/bin/sh", "-c", "/bin/sleep 0.05; :"])
        after_ns = time.time_ns()
        agent.wait_for_events(5)
        agent.stop()
        lines = agent.lines()
    _, fork, execed, end, last = (line["process"] | {"@": line["@timestamp"]} for line in lines)
    assert before_ns - slack_ns < _ns(fork["start"]) <= _ns(fork["@"]) <= _ns(execed["@"])
    assert _ns(execed["@"]) + 50_000_000 - slack_ns <= _ns(end["@"]) == _ns(end["end"])
    assert _ns(last["@"]) == _ns(last["end"]) < after_ns + slack_ns
    assert fork["start"] == execed["start"] == end["start"]
    stamps = [line["agentd"]["boottime_ns"] for line in lines]
    assert abs(_ns(last["end"]) - _ns(fork["@"]) - (stamps[4] - stamps[1])) < slack_ns


def _ns(when: str) -> int:
    seconds, _, fraction = when.removesuffix("Z").partition(".")
    whole = datetime.datetime.fromisoformat(f"{seconds}+00:00")
    return int(whole.timestamp()) * 1_000_000_000 + int(fraction)


def test_what_a_process_used(cgroup: Cgroup, tmp_path: Path) -> None:
    """CPU time and memory of an exit are those that its parent is told, in seconds and bytes."""
    code = "sum(range(3_000_000)); x = bytearray(20 << 20)"
    parent = (
        "import json, os, sys\nchild = os.posix_spawn(sys.executable, sys.argv, os.environ)\n"
        "_, _, usage = os.wait4(child, 0)\n"
        "print(json.dumps([child, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))"
    )
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        done = cgroup.run([sys.executable, "-S", "-c", parent, "-S", "-c", code])
        agent.wait_for_events(5)
        agent.stop()
        lines = agent.lines()
    child, cpu_seconds, max_rss_bytes = json.loads(done.stdout)
    (used,) = (
        line["agentd"]
        for line in lines
        if line["event"]["action"] == "exit" and line["process"]["pid"] == child
    )
    told_seconds = used["cpu_user_seconds"] + used["cpu_system_seconds"]
    assert 0 <= cpu_seconds - told_seconds + 1e-6 < 0.05
    assert used["max_rss_bytes"] == max_rss_bytes


def test_arguments_too_long_are_flagged(cgroup: Cgroup, tmp_path: Path) -> None:
    """Arguments beyond what a record holds are cut, flagged, and their number is told."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/true", "x" * 20_000, "y"])
        agent.wait_for_events(2)
        agent.stop()
        execed, exited = agent.lines()
    _validate([execed, exited])
    assert execed["agentd"]["flags"] == ["args_truncated"]
    assert exited["agentd"]["flags"] == []
    assert execed["process"]["args_count"] == 3
    assert execed["process"]["args"][0] == "/bin/true"
    assert set(execed["process"]["args"][1]) == {"x"}
    assert len(execed["process"]["args"]) == 2


def test_long_name_comes_without_delay(cgroup: Cgroup, tmp_path: Path) -> None:
    """An exec of long paths wakes the daemon like any other."""
    folder = tmp_path / ("d" * 200) / ("e" * 200)
    folder.mkdir(parents=True)
    (folder / "program").symlink_to("/bin/true")
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run([str(folder / "program")])
        agent.wait_for_events(2)
        assert agent.lines()[0]["agentd"]["exec"]["filename"] == str(folder / "program")


def test_name_that_is_cut_inside_a_character(cgroup: Cgroup, tmp_path: Path) -> None:
    """The kernel cuts short names at 15 bytes; what is left of a character is recoverable."""
    name = "aaaaaaaaaaaaaaü-and-more"
    (tmp_path / name).symlink_to("/bin/true")
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run([str(tmp_path / name)])
        agent.wait_for_events(2)
        agent.stop()
        lines = agent.lines()
    _validate(lines)
    assert [line["process"]["name"] for line in lines] == ["a" * 14 + "\ufffd"] * 2
    assert {line["agentd"]["raw"]["name"] for line in lines} == {
        base64.b64encode(name.encode()[:15]).decode()
    }
    assert lines[0]["agentd"]["exec"]["filename"].endswith(name)
    assert list(lines[0]["agentd"]["raw"]) == ["name"]


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
    assert base64.b64decode(raw["filename"]) == os.fsencode(program)
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
    stamps = [line["agentd"]["boottime_ns"] for line in lines]
    assert stamps == sorted(stamps)
    assert [line["event"]["sequence"] for line in lines] == list(range(len(lines)))
    attempts = [line for line in lines if line["agentd"]["flags"] != ["inferred"]]
    missing = sum(line["agentd"]["lost"]["count"] for line in attempts if "process" not in line)
    assert missing > 0
    assert missing + sum("process" in line for line in attempts) == 802
    numbers = [
        (line["agentd"]["cpu"], line["agentd"]["seq"] + n)
        for line in attempts
        for n in range(line["agentd"].get("lost", {"count": 1})["count"])
    ]
    assert len(set(numbers)) == len(numbers) == 802


def test_losses_in_text(cgroup: Cgroup, tmp_path: Path) -> None:
    """A person reads of losses too, in the same columns."""
    with running(tmp_path, cgroup.path, "--set", "transport.ring_bytes=4096") as agent:
        cgroup.run(["/bin/bash", "-c", "for i in {1..400}; do (:); done"])
        agent.wait_for_events(3)
        assert agent.stop() == 0
        heading, *lines = agent.text().splitlines()
    lines = [line for line in lines if not line.endswith(" inferred")]
    column = heading.index("WHAT")
    told = [line for line in lines if line[heading.index("EVENT") :].startswith("lost ")]
    assert told
    assert all(" missed on cpu " in line for line in told)
    assert sum(int(line[column:].split()[0]) for line in told) == 802 - (len(lines) - len(told))


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
    assert lines[2][column:] == f"{os.path.realpath('/bin/true')} 'a b'"
    assert lines[4][column:].startswith("sh status 4 after ")


def test_none_writes_nothing(cgroup: Cgroup, tmp_path: Path) -> None:
    """--output none writes no event, and counts them all the same."""
    with running(tmp_path, cgroup.path, "--output", "none") as agent:
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        agent.stop()
        assert agent.text() == ""


def test_container(cgroup: Cgroup, tmp_path: Path) -> None:
    """A process in a container's cgroup is told with the container, also one that began later."""
    scope = f"docker-{'a1' * 32}.scope"
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        inside = Cgroup(f"{cgroup.path.strip('/')}/{scope}")
        inside.folder.mkdir()
        agent.wait_until(lambda: _true_in(inside, agent)["agentd"]["cgroup"].get("path"))
        agent.stop()
        lines = agent.lines()
    _validate(lines)
    assert lines[0]["agentd"]["cgroup"]["path"] == cgroup.path
    assert "container" not in lines[0]
    last = [line for line in lines if line["event"]["action"] == "exec"][-1]
    assert last["container"] == {"id": "a1" * 32, "runtime": "docker"}
    assert last["agentd"]["cgroup"]["path"] == f"{cgroup.path}/{scope}"


def _true_in(cgroup: Cgroup, agent: Agent) -> dict[str, Any]:
    """The line of a command that runs in a cgroup."""
    before = agent.events_total()
    cgroup.run(["/bin/true"])
    agent.wait_for_events(before + 2)
    execs = [line for line in agent.lines() if line["event"]["action"] == "exec"]
    return execs[-1]


@pytest.mark.parametrize("output", ["text", "json"])
def test_secrets_do_not_leave(cgroup: Cgroup, tmp_path: Path, output: str) -> None:
    """Neither a process that ran already, nor its child, nor a new one gives a secret away."""
    shell = ["/bin/sh", "-c", "read go; (:); exec /bin/true --token hunter3", "--password=hunter2"]
    with (
        cgroup.popen(shell, stdin=subprocess.PIPE) as process,
        running(tmp_path, cgroup.path, "--output", output) as agent,
    ):
        process.communicate("go\n", ENOUGH_SECONDS)
        agent.wait_for_events(4)
        agent.stop()
        assert "hunter" not in agent.text() + agent.log()
        assert "[redacted]" in agent.text()


def test_redaction_can_be_turned_off(cgroup: Cgroup, tmp_path: Path) -> None:
    """Without patterns the arguments come as they are."""
    with running(tmp_path, cgroup.path, "--set", "redact.patterns=[]") as agent:
        cgroup.run(["/bin/true", "--token", "hunter3"])
        agent.wait_for_events(2)
        assert "--token hunter3" in agent.text()


def test_the_tree_after_a_loss(cgroup: Cgroup, tmp_path: Path) -> None:
    """What losses hid and /proc shows comes out, flagged, and the metrics count it."""
    script = "for i in $(seq 150); do sleep 1000 & done; echo ready; read go"
    options = ("--output", "json", "--set", "transport.ring_bytes=4096")
    with (
        running(tmp_path, cgroup.path, *options) as agent,
        cgroup.popen(
            ["/bin/bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as shell,
    ):
        assert shell.stdout is not None
        assert shell.stdout.readline() == "ready\n"
        there = set(cgroup.processes())
        agent.wait_until(lambda: there <= agent.pids("fork", "exec"))
        for pid in there:
            os.kill(pid, signal.SIGKILL)
        agent.wait_until(lambda: there <= agent.pids("exit"))
        metrics = agent.metrics()
        agent.stop()
        lines = agent.lines()
    _validate(lines)
    assert any("lost" in line["agentd"] for line in lines)
    inferred = [line for line in lines if line["agentd"]["flags"] == ["inferred"]]
    for kind in ("fork", "exec", "exit"):
        count = sum(line["event"]["action"] == kind for line in inferred)
        assert metrics["agentd_inferred_events_total", (("kind", kind),)] == count
    forked = [line["process"] for line in inferred if line["event"]["action"] == "fork"]
    assert forked
    assert {process["pid"] for process in forked} <= there
    assert {process["parent"]["pid"] for process in forked} == {shell.pid}
    assert {process["executable"] for process in forked} == {os.path.realpath("/bin/sleep")}
    assert metrics["agentd_reconciliations_total", ()] >= 1
    assert metrics["agentd_accounting_imbalance", ()] == 0


def test_only_what_a_filter_wants(cgroup: Cgroup, tmp_path: Path) -> None:
    """Numbers stay, nothing else is left out, and a recording is played through the same filter."""
    recording = tmp_path / "recording"
    wanted = "output.filter=action = exec and args ~ wanted"
    options = ("--output", "json", "--set", wanted, "--record", str(recording))
    with running(tmp_path, cgroup.path, *options) as agent:
        cgroup.run(["/bin/bash", "-c", "/bin/true not; /bin/true wanted; (/bin/true wanted2); :"])
        agent.wait_for_events(8)
        unwanted = agent.metrics()["agentd_sink_unwanted_events_total", (("sink", "stdout"),)]
        assert unwanted + 3 == agent.events_total()
        agent.stop()
        lines = agent.lines()
    assert [line["process"]["args"][-1] for line in lines[1:]] == ["wanted", "wanted2"]
    _validate(lines)
    numbers = [line["event"]["sequence"] for line in lines]
    assert numbers[0] == 0
    assert numbers[2] - numbers[1] > 1
    played = subprocess.run(
        [AGENTD, "replay", "--output", "json", str(recording)], capture_output=True, check=True
    )
    assert played.stdout.decode() == agent.text()


def test_a_filter_that_is_none_is_named(tmp_path: Path) -> None:
    """The configuration says where it is wrong."""
    done = subprocess.run(
        [AGENTD, "run", "--set", "journal.filter=uid = "], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert "journal.filter" in done.stderr
    assert "filter, column 6" in done.stderr


def test_fewer_fuller_lines(cgroup: Cgroup, tmp_path: Path) -> None:
    """Short lives are one line each, which says all that three would; every number is there."""
    options = ("--output", "json", "--set", "output.aggregate=true", "--set",
               "transport.batch_delay_ms=500", "--record", str(tmp_path / "recording"))  # fmt: skip
    script = "for i in 1 2 3; do /bin/true $i; done; (exit 3); exec /bin/sleep 0.7"
    with running(tmp_path, cgroup.path, *options) as agent:
        cgroup.run(["/bin/bash", "-c", script])
        agent.wait_for_events(2 + 9 + 2 + 1)
        agent.stop()
        lines = agent.lines()
        merged = agent_merged(lines)
    _validate(lines)
    lives = [line for line in lines if line["event"]["action"] == ["fork", "exec", "exit"]]
    assert [line["process"]["args"] for line in lives] == [["/bin/true", str(i)] for i in (1, 2, 3)]
    for line in lives:
        assert line["event"]["type"] == ["start", "end"]
        assert (line["process"]["exit_code"], line["process"]["parent"]["name"]) == (0, "bash")
        assert line["process"]["end"] > line["process"]["start"]
        assert line["agentd"]["exec"]["filename"] == "/bin/true"
        assert line["agentd"]["max_rss_bytes"] > 0
    (failed,) = [line for line in lines if line["event"]["action"] == ["fork", "exit"]]
    assert failed["process"]["exit_code"] == 3
    numbers = [part["sequence"] for line in lines for part in merged_or_self(line)]
    assert sorted(numbers) == list(range(len(numbers)))
    assert [line["event"]["sequence"] for line in lines] == sorted(
        line["event"]["sequence"] for line in lines
    )
    assert merged == 7
    played = subprocess.run(
        [AGENTD, "replay", "--output", "json", str(tmp_path / "recording")],
        capture_output=True, check=True,
    )  # fmt: skip
    assert played.stdout.decode() == agent.text()


def merged_or_self(line: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a line."""
    alone = {"sequence": line["event"]["sequence"]}
    return list(line["agentd"].get("merged", [alone]))


def agent_merged(lines: list[dict[str, Any]]) -> int:
    """Events that have no line of their own."""
    return sum(len(merged_or_self(line)) - 1 for line in lines)
