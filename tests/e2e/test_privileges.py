"""What agentd may still do once it has attached, and that this is enough."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.helpers import frames
from tests.cgroup import Cgroup
from tests.e2e import agent as agents
from tests.e2e.agent import AGENTD, Agent, running
from tests.requirements import need_program

CAP_SYS_PTRACE = 19


def _sets(pid: int) -> list[dict[str, int]]:
    """The capabilities of each thread, and whether it can gain any."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        pairs = re.findall(r"^(Cap(?:Inh|Prm|Eff|Amb)|NoNewPrivs):\s+(\w+)$", text, re.M)
        found.append({name: int(value, 16) for name, value in pairs})
    return found


@contextlib.contextmanager
def _helper(path: Path) -> Iterator[list[int]]:
    """What a service manager does: `agentd scan` for each connection; their exit codes."""
    codes: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    done = subprocess.run([AGENTD, "scan"], stdin=connection.fileno(), check=False)
                    codes.append(done.returncode)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield codes
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


NOTHING = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0, "NoNewPrivs": 1}


def _children(pid: int, program: str = "agentd.helpers") -> list[int]:
    """Those that run that module."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if program.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    ]


def test_only_its_child_may_look(cgroup: Cgroup, tmp_path: Path) -> None:
    """The daemon has one thread and no capability; a child keeps the one that reads /proc."""
    with running(tmp_path, cgroup.path) as agent:
        assert _sets(agent.process.pid) == [NOTHING]
        (child,) = _children(agent.process.pid)
        kept = {"CapPrm": 1 << CAP_SYS_PTRACE, "CapEff": 1 << CAP_SYS_PTRACE}
        assert _sets(child) == [NOTHING | kept]
        (front,) = _children(agent.process.pid, "agentd.front")
        assert all(sets == NOTHING for sets in _sets(front))
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        assert agent.stop() == 0
    assert not Path(f"/proc/{child}/exe").exists()


def test_it_opens_nothing_of_others(
    cgroup: Cgroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its start and after a loss it looks at no process in /proc but itself, and asks for no
    name of a user: its child does."""
    strace, script = need_program("strace"), tmp_path / "agentd"
    calls = tmp_path / "calls"
    script.write_text(f'#!/bin/sh\nexec {strace} -D -e trace=file -o {calls} {AGENTD} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr(agents, "AGENTD", str(script))
    options = ("--output", "json", "--set", "transport.ring_bytes=4096")
    with running(tmp_path, cgroup.path, *options) as agent:
        pid = agent.process.pid
        _lose_events(agent, cgroup)
        assert agent.stop() == 0
    lines = calls.read_text().splitlines()
    ready = next(n for n, line in enumerate(lines) if "/proc/self/task" in line)
    paths = [path for line in lines[ready:] for path in re.findall(r'"([^"]*)"', line)]
    others = {path for path in paths if re.match(rf"/proc/(?!{pid}/)\d+", path)}
    assert others == set()
    assert not any(path in ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf") for path in paths)


def _lose_events(agent: Agent, cgroup: Cgroup) -> None:
    """Have it lose events, and find out what they hid."""
    agent.process.send_signal(signal.SIGSTOP)
    sleeper = "(exec sleep 1000) >/dev/null 2>&1 &"
    cgroup.run(["/bin/bash", "-c", f"for i in $(seq 300); do /bin/true; done; {sleeper}"])
    (survivor,) = cgroup.processes()
    agent.process.send_signal(signal.SIGCONT)
    agent.wait_until(lambda: survivor in agent.pids("fork", "exec"))


def test_its_child_is_begun_again(cgroup: Cgroup, tmp_path: Path) -> None:
    """Killed, it has a successor when there is something to ask, without any capability."""
    options = ("--output", "json", "--set", "transport.ring_bytes=4096")
    with running(tmp_path, cgroup.path, *options) as agent:
        (child,) = _children(agent.process.pid)
        os.kill(child, signal.SIGKILL)
        _lose_events(agent, cgroup)
        (successor,) = _children(agent.process.pid)
        assert successor != child
        assert _sets(successor) == [NOTHING]
        assert agent.stop() == 0


def test_nothing_is_left_with_a_helper(cgroup: Cgroup, tmp_path: Path) -> None:
    """With no privilege at all, what a loss hid of other users' processes is still found."""
    tmp_path.chmod(0o755)
    path = tmp_path / "scan.sock"
    options = ["--output", "json", "--set", f"scan.socket={path}"]
    options += ["--set", "transport.ring_bytes=4096"]
    with _helper(path) as codes, running(tmp_path, cgroup.path, *options) as agent:
        (child,) = _children(agent.process.pid)
        assert _sets(agent.process.pid) == _sets(child) == [NOTHING]
        os.kill(agent.process.pid, 19)  # SIGSTOP
        script = "for i in $(seq 200); do /bin/true; done; (exec sleep 1000) >/dev/null 2>&1 &"
        cgroup.run(["setpriv", "--reuid=65534", "--clear-groups", "/bin/bash", "-c", script])
        (survivor,) = cgroup.processes()
        os.kill(agent.process.pid, 18)  # SIGCONT
        agent.wait_until(lambda: survivor in agent.pids("fork"))
        (fork,) = [
            line for line in agent.lines()
            if line["event"]["action"] == "fork" and line["process"]["pid"] == survivor
        ]  # fmt: skip
        assert fork["agentd"]["flags"] == ["inferred"]
        assert os.path.basename(fork["process"]["executable"]) == "sleep"
        assert fork["process"]["user"]["id"] == "65534"
        agent.stop()
    assert codes == [0]  # it answered more than one request


def test_a_helper_that_does_not_answer(cgroup: Cgroup, tmp_path: Path) -> None:
    """It is told in the log with what it means, and agentd sees what it can see."""
    path = tmp_path / "none.sock"
    with running(tmp_path, cgroup.path, "--set", f"scan.socket={path}") as agent:
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        agent.stop()
        assert "no answer from the scan socket" in agent.log()
        assert str(path) in agent.log()


def test_the_helper_refuses_what_is_no_request() -> None:
    """Nonsense is one line and an exit code."""
    for request in (b"", b"[]", b"{}", b"\0", b"\xc1", frames.request("users", 1.0, None)):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            socket.send_fds(ours, [request or b"\x90"], [ours.fileno()])
            done = subprocess.run(
                [AGENTD, "scan"], stdin=theirs.fileno(), capture_output=True, text=True, check=False
            )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    done = subprocess.run([AGENTD, "scan"], input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
