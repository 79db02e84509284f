"""Standard output and standard error, whatever is at their other end."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, free_port, running
from tests.e2e.manager import managing

QUIET = ["--set", "metrics.listen="]
ESCAPE = b"\x1b["


def _command(cgroup: Cgroup, *options: str) -> list[str]:
    return [AGENTD, "run", "--set", f"filter.cgroup={cgroup.path}", *options]


def _run_until_gone(cgroup: Cgroup, process: subprocess.Popen[bytes]) -> None:
    """Give it events until it has ended."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline, "agentd did not end"
        cgroup.run(["/bin/true"])
        time.sleep(0.05)


@pytest.mark.parametrize(
    "redirection",
    [
        "",
        "2>&1",
    ],
)
def test_head(cgroup: Cgroup, tmp_path: Path, redirection: str) -> None:
    """``agentd run | head -1`` ends quietly, with exit code 0, also with the log in the pipe."""
    command = " ".join(f"'{word}'" for word in _command(cgroup, *QUIET))
    script = f"set -o pipefail; {command} {redirection} | head -1"
    with subprocess.Popen(
        ["/bin/bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        _run_until_gone(cgroup, process)
        output, errors = process.communicate(timeout=ENOUGH_SECONDS)
    assert len(output.splitlines()) == 1
    assert b"Traceback" not in errors
    assert process.returncode == 0


def test_standard_error_is_closed(cgroup: Cgroup) -> None:
    """Without a standard error it does its work and says nothing."""
    script = " ".join([*_command(cgroup, *QUIET, "--duration", "0.2"), "2>&-"])
    done = subprocess.run(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, timeout=ENOUGH_SECONDS, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"TIME")


def test_standard_output_is_closed(cgroup: Cgroup) -> None:
    """Without a standard output it says so, and what to do."""
    script = " ".join([*_command(cgroup, *QUIET), ">&-"])
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, timeout=ENOUGH_SECONDS, check=False
    )
    assert done.returncode == os.EX_CONFIG
    assert b"--output none" in done.stderr


def test_colours_on_a_terminal_only(cgroup: Cgroup) -> None:
    """A terminal gets colours and the log for people; its keys keep working as they were."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        _command(cgroup, *QUIET), stdin=follower, stdout=follower, stderr=follower
    ) as process:
        seen = b""
        while b"ready" not in seen:
            seen += os.read(leader, 65536)
        assert os.get_blocking(follower)
        cgroup.run(["/bin/true"])
        while b"after" not in seen:
            seen += os.read(leader, 65536)
        process.send_signal(signal.SIGTERM)
        while b"stopped" not in seen:
            seen += os.read(leader, 65536)
        assert process.wait(ENOUGH_SECONDS) == 0
    os.close(follower)
    os.close(leader)
    heading, execed, *_ = (line for line in seen.splitlines() if b"2026" not in line)
    assert heading.split() == [b"TIME", b"EVENT", b"PID", b"PARENT", b"UID", b"WHAT"]
    assert ESCAPE in execed
    assert b"/bin/true" in execed


def test_socket(cgroup: Cgroup) -> None:
    """Standard output may be a socket, as journald's is; when its other end goes, that is all."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            _command(cgroup, *QUIET, "--output", "json"),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
        )
        with process:
            theirs.close()
            assert process.stderr is not None
            while b'"ready"' not in process.stderr.readline():
                assert process.poll() is None
            cgroup.run(["/bin/true"])
            with ours.makefile() as lines:
                actions = [json.loads(next(lines))["event"]["action"] for _ in range(2)]
            ours.close()
            _run_until_gone(cgroup, process)
            assert b"Traceback" not in process.stderr.read()
    assert actions == ["exec", "exit"]
    assert process.returncode == 0


def test_what_a_stuck_reader_missed(cgroup: Cgroup) -> None:
    """A reader that stops holds up nothing, and finds in the stream all that it has missed."""
    port = free_port()
    command = _command(cgroup, "--output", "json", "--set", "transport.ring_bytes=65536")
    command += ["--set", f"metrics.listen=127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        agent = Agent(process, port, Path(os.devnull))
        agent.wait_until_ready()
        while not _dropped(agent):
            cgroup.run(["/bin/bash", "-c", "for i in {1..200}; do (:); done"])
        rounds = agent.metrics()["agentd_rounds_total", ()]
        cgroup.run(["/bin/true", "before"])
        agent.wait_until(lambda: agent.metrics()["agentd_rounds_total", ()] > rounds)
        received: list[bytes] = []
        assert process.stdout is not None
        reader = threading.Thread(target=received.extend, args=(process.stdout,))
        reader.start()
        agent.wait_until(lambda: agent.metrics()["agentd_sink_queued_events", STDOUT] == 0)
        cgroup.run(["/bin/true", "after"])
        metrics = agent.metrics()
        process.send_signal(signal.SIGTERM)
        reader.join(ENOUGH_SECONDS)
        assert process.wait(ENOUGH_SECONDS) == 0
        assert process.stderr is not None
        account = json.loads(process.stderr.read().splitlines()[-1])
    lines = [json.loads(line) for line in received]
    sequence = [line["event"]["sequence"] for line in lines]
    assert sequence == sorted(set(sequence))
    lines = [line for line in lines if line["agentd"]["flags"] != ["inferred"]]
    attempts = sum(v for (name, _), v in metrics.items() if name == "agentd_kernel_attempts_total")
    told = [line["agentd"]["lost"] for line in lines if "process" not in line]
    assert sum("process" in line for line in lines) + sum(t["count"] for t in told) == attempts
    missed = sum(lost["count"] for lost in told if lost["stage"] == "sink")
    assert missed >= account["not_written"] == metrics["agentd_sink_dropped_events_total", STDOUT]
    assert account["imbalance"] == 0
    assert lines[-2]["process"]["args"] == ["/bin/true", "after"]
    assert [line["event"]["action"] for line in lines[-2:]] == ["exec", "exit"]


# a journald that never reads: its socket stays open here, and nobody looks at it
_DEAF_JOURNALD = """
import contextlib, os, socket, sys
os.makedirs("/run/systemd/journal")
deaf, other = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
deaf.bind("/run/systemd/journal/socket")
other.setblocking(False)
with contextlib.suppress(BlockingIOError):
    while True:
        other.sendto(b"full", deaf.getsockname())
os.set_inheritable(deaf.fileno(), True)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("log_format", ["json", "journal"])
def test_its_own_log_holds_nothing_up(cgroup: Cgroup, tmp_path: Path, log_format: str) -> None:
    """Whoever does not take its lines, standard error's reader or journald: it works and ends."""
    config = tmp_path / "agentd.toml"
    config.write_text("")
    port = free_port()
    command = _command(cgroup, "--config", str(config), "--output", "none")
    for setting in (f"metrics.listen=127.0.0.1:{port}", f"log.format={log_format}"):
        command += ["--set", setting]
    if log_format == "journal":
        script = 'mount -t tmpfs none /run && exec "$@"'
        command = [sys.executable, "-c", _DEAF_JOURNALD, *command]
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
    reading, writing = os.pipe()
    os.write(writing, bytes(fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)))  # no line fits
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=writing) as process:
        agent = Agent(process, port, Path(os.devnull))
        agent.wait_until_ready()
        agent.wait_until(lambda: bool(agent.metrics()))
        assert agent.get("/healthz") == (200, "ok\n")
        before = agent.events_total()
        cgroup.run(["/bin/true"])
        agent.wait_for_events(before + 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(ENOUGH_SECONDS) == 0
    os.close(reading)
    os.close(writing)


def test_a_full_disk_is_survived(cgroup: Cgroup, tmp_path: Path) -> None:
    """While nothing can be written it goes on, and shows it; then it tells what it dropped."""
    options = ("--output", "json", "--set", "transport.ring_bytes=65536")
    with running(tmp_path, cgroup.path, *options) as agent:
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        while not _dropped(agent):
            cgroup.run(["/bin/bash", "-c", "for i in {1..200}; do (:); done"])
        assert agent.metrics()["agentd_sink_failing", STDOUT] == 1
        assert agent.get("/healthz") == (200, "ok\n")
        asked = subprocess.run(
            [AGENTD, "status", "--socket", agent.socket],
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked.returncode == 1
        assert "NOT WELL" in asked.stdout
        assert "stdout: cannot write events: File too large" in asked.stdout
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, unlimited)
        agent.wait_until(lambda: agent.metrics()["agentd_sink_failing", STDOUT] == 0)
        cgroup.run(["/bin/true", "after"])
        agent.wait_until(lambda: agent.metrics()["agentd_sink_queued_events", STDOUT] == 0)
        metrics = agent.metrics()
        assert agent.stop() == 0
        lines = [line for line in agent.lines() if line["agentd"]["flags"] != ["inferred"]]
    attempts = sum(v for (name, _), v in metrics.items() if name == "agentd_kernel_attempts_total")
    told = [line["agentd"]["lost"] for line in lines if "process" not in line]
    assert sum("process" in line for line in lines) + sum(t["count"] for t in told) == attempts
    assert {lost["stage"] for lost in told} >= {"sink"}
    assert lines[-2]["process"]["args"] == ["/bin/true", "after"]
    assert [agent.log().count(word) for word in ('"a sink fails"', '"a sink works again"')] == [
        1,
        1,
    ]


def test_a_service_outlives_its_reader(cgroup: Cgroup, tmp_path: Path) -> None:
    """Under a service manager a reader that has gone away ends nothing; it is told."""
    output = tmp_path / "run-0.out"
    os.mkfifo(output)
    reading = os.open(output, os.O_RDONLY | os.O_NONBLOCK)
    settings = (f"filter.cgroup={cgroup.path}", "metrics.listen=", "control.socket=")
    options = [word for setting in settings for word in ("--set", setting)]
    with managing(tmp_path, "--output", "json", *options) as manager:
        manager.start()
        os.close(reading)
        cgroup.run(["/bin/true"])
        deadline = time.monotonic() + ENOUGH_SECONDS
        while '"a sink fails"' not in manager.log():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.5)  # it has tried again
        assert manager.process is not None
        assert manager.process.poll() is None
        assert manager.log().count('"a sink fails"') == 1
        assert manager.end(signal.SIGTERM) == 0


STDOUT = (("sink", "stdout"),)


def _dropped(agent: Agent) -> float:
    """What standard output has dropped so far."""
    return agent.metrics()["agentd_sink_dropped_events_total", STDOUT]
