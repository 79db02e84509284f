"""``agentd status``, ``tree``, ``ps`` and ``follow`` ask a running agentd."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentd.control.table import COLUMNS
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running

FAMILY = "bash -c 'sleep 1000 & sleep 1000 & sleep 1000 & (exit 3); kill -9 $BASHPID' kin; :"


@pytest.fixture
def agent(cgroup: Cgroup, tmp_path: Path) -> Iterator[Agent]:
    """One that has seen a family: a shell that was killed, a child that failed, three that live."""
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/sh", "-c", FAMILY, "head"], stdout=subprocess.DEVNULL)
        agent.wait_for_events(13)
        yield agent


def _ask(agent: Agent, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AGENTD, command, "--socket", agent.socket, *arguments],
        capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False,
    )  # fmt: skip


def _rows(agent: Agent, command: str, *arguments: str) -> list[dict[str, Any]]:
    done = _ask(agent, command, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_status(agent: Agent) -> None:
    """One screen for people, one object for programs, and an exit code."""
    done = _ask(agent, "status")
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first.startswith("● good  agentd ")
    assert [line.split()[0] for line in rest if line] == [
        "events", "lost", "transport", "latency", "tree", "sink", "costs",
    ]  # fmt: skip
    (answer,) = _rows(agent, "status")
    assert answer["healthy"] is True
    assert sum(answer["events"].values()) == agent.events_total()
    assert (answer["lost"], answer["imbalance"]) == (0, 0)
    assert answer["sinks"][0]["written"] == agent.events_total()
    assert answer["pid"] == agent.process.pid


def test_tree(agent: Agent, cgroup: Cgroup) -> None:
    """Who started whom, those alike as one, the exited with how they ended."""
    lines = _ask(agent, "tree", "--filter", f"cgroup = {cgroup.path}").stdout.splitlines()
    head, kin, *children = lines
    assert head.endswith("[with status 0]")
    assert "kill -9" in kin
    assert kin.startswith("└─ ")
    assert kin.endswith("[by signal 9]")
    assert len(children) == 2
    assert any(" 3 × " in line and line.endswith("/usr/bin/sleep 1000") for line in children)
    assert any(line.endswith("[with status 3]") for line in children)
    everybody = _ask(agent, "tree", "--all", "--live", "--filter", "name = sleep").stdout
    assert sorted(int(line.split()[0]) for line in everybody.splitlines()) == sorted(
        cgroup.processes()
    )


def test_tree_of_one(agent: Agent, cgroup: Cgroup) -> None:
    """From a pid down; one that nobody knows is told."""
    pid = cgroup.processes()[0]
    assert _ask(agent, "tree", str(pid)).stdout == f"{pid} /usr/bin/sleep 1000\n"
    done = _ask(agent, "tree", "4194305")
    assert (done.returncode, done.stdout) == (65, "")
    assert "nothing is known of 4194305" in done.stderr


def test_ps(agent: Agent, cgroup: Cgroup) -> None:
    """A table of those that are wanted, and the same as JSON."""
    heading, *rows = _ask(agent, "ps", "--filter", "name = sleep").stdout.splitlines()
    assert heading.split() == [name.upper() for name in COLUMNS]
    assert len(rows) == 3
    assert all(" root " in row and " live " in row for row in rows)
    ended = _rows(agent, "ps", "--exited", "--filter", "not live and (signal = 9 or status = 3)")
    assert sorted((row["signal"], row["exit_code"]) for row in ended if row["signal"]) == [
        (9, None)
    ]
    assert [row["exit_code"] for row in ended if not row["signal"]] == [3]
    assert {row["cgroup"] for row in ended} == {cgroup.path}
    assert {row["user"]["name"] for row in ended} == {"root"}


def test_a_filter_that_is_none(agent: Agent) -> None:
    """The error shows the place, and what there is."""
    for command in ("tree", "ps", "follow"):
        done = _ask(agent, command, "--filter", "uid = 0 and exee")
        assert (done.returncode, done.stdout) == (65, "")
        first, text, caret, *_ = done.stderr.splitlines()
        assert first == "agentd: filter, column 13: there is no field exee; did you mean exe?"
        assert caret.index("^") == text.index("exee")


@contextlib.contextmanager
def _following(agent: Agent, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [AGENTD, "follow", "--socket", agent.socket, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _until_heard(cgroup: Cgroup, process: subprocess.Popen[bytes]) -> bytes:
    """Run a command again and again until the follower has told of one."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    heard = b""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while not heard.endswith(b"\n"):
        assert time.monotonic() < deadline
        cgroup.run(["/bin/true", "heard"])
        time.sleep(0.1)
        heard += process.stdout.read() or b""
    return heard


def test_follow(agent: Agent, cgroup: Cgroup) -> None:
    """Events that a filter wants, as they leave; it ends with the daemon."""
    wanted = 'action = exec and args ~ "heard" and uid = 0'
    with (
        _following(agent, "--filter", wanted) as text,
        _following(agent, "--json", "--filter", wanted) as lines,
    ):
        assert b" /usr/bin/true heard\n" in _until_heard(cgroup, text)
        events = [json.loads(line) for line in _until_heard(cgroup, lines).splitlines()]
        assert {event["event"]["action"] for event in events} == {"exec"}
        assert {event["process"]["args"][1] for event in events} == {"heard"}
        told = {json.loads(line)["event"]["sequence"] for line in agent.text().splitlines()}
        assert {event["event"]["sequence"] for event in events} <= told
        assert agent.stop() == 0
        assert text.wait(ENOUGH_SECONDS) == lines.wait(ENOUGH_SECONDS) == 0


def test_ctrl_c_ends_following_quietly(agent: Agent, cgroup: Cgroup) -> None:
    """Without a traceback; and so does a reader that leaves."""
    with _following(agent) as process:
        _until_heard(cgroup, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENOUGH_SECONDS) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_slow_follower_is_told_what_it_missed(agent: Agent, cgroup: Cgroup) -> None:
    """It holds up nobody; missed and seen together are all that happened."""
    with socket.socket(socket.AF_UNIX) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(agent.socket)
        slow.sendall(b"GET /v1/follow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(12) == b"HTTP/1.1 200"
        before = agent.events_total()
        while agent.events_total() - before < 14_000:
            cgroup.run(["/bin/bash", "-c", "for i in {1..1000}; do (:); done"])
        slow.settimeout(2)
        data = b""
        with contextlib.suppress(TimeoutError):
            while some := slow.recv(1 << 20):
                data += some
        cgroup.run(["/bin/true", "after"])
        with contextlib.suppress(TimeoutError):
            while some := slow.recv(1 << 20):
                data += some
    made = agent.events_total() - before
    lines = [json.loads(line) for line in data.splitlines() if line.startswith(b"{")]
    missed = sum(line["agentd"]["lost"]["count"] for line in lines if "lost" in line["agentd"])
    assert missed > 0
    assert sum("process" in line for line in lines) + missed == made
    assert lines[-2]["process"]["args"] == ["/bin/true", "after"]


def test_a_terminal_shows_and_never_obeys(agent: Agent, cgroup: Cgroup) -> None:
    """On a terminal lines are cut and coloured; escapes in names are shown."""
    cgroup.run(["/bin/bash", "-c", "exec -a $'evil\\e]0;x' /bin/sh -c 'exit 1' $'\\e[2J'"])
    agent.wait_for_events(15)
    leader, follower = pty.openpty()
    command = [AGENTD, "tree", "--socket", agent.socket, "--filter", "status = 1"]
    with subprocess.Popen(command, stdout=follower, env=os.environ | {"COLUMNS": "60"}) as process:
        assert process.wait(ENOUGH_SECONDS) == 0
    os.close(follower)
    seen = b""
    with contextlib.suppress(OSError):
        while some := os.read(leader, 65536):
            seen += some
    os.close(leader)
    assert b"\x1b[2J" not in seen
    assert b"\x1b]0" not in seen
    assert b"\\x1b[2J" in seen
    assert b"\x1b[31m" in seen


def test_nobody_answers(tmp_path: Path) -> None:
    """One sentence, and what to do."""
    for command in ("status", "tree", "ps", "follow"):
        done = subprocess.run(
            [AGENTD, command, "--socket", str(tmp_path / "none")],
            capture_output=True, text=True, timeout=ENOUGH_SECONDS, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (69, "")
        assert "no agentd answers" in done.stderr
        assert "Traceback" not in done.stderr
