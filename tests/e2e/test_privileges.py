"""What agentd may still do once it has attached, and that this is enough."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, Agent, running

CAP_SYS_PTRACE = 19


def _sets(agent: Agent) -> list[dict[str, int]]:
    """The capabilities of each thread, and whether it can gain any."""
    found = []
    for task in Path(f"/proc/{agent.process.pid}/task").iterdir():
        text = (task / "status").read_text()
        pairs = re.findall(r"^(Cap(?:Inh|Prm|Eff|Amb)|NoNewPrivs):\s+(\w+)$", text, re.M)
        found.append({name: int(value, 16) for name, value in pairs})
    return found


@contextlib.contextmanager
def _helper(path: Path) -> Iterator[list[int]]:
    """What a service manager does: `agentd scan` for each connection; their exit codes."""
    codes: list[int] = []
    with socket.socket(socket.AF_UNIX) as listening:
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
                    fd = connection.fileno()
                    done = subprocess.run([AGENTD, "scan"], stdin=fd, stdout=fd, check=False)
                    codes.append(done.returncode)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield codes
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_only_looking_is_left_without_a_helper(cgroup: Cgroup, tmp_path: Path) -> None:
    """Every thread has given up all but what reads /proc, and can gain nothing."""
    with running(tmp_path, cgroup.path) as agent:
        for sets in _sets(agent):
            kept = 1 << CAP_SYS_PTRACE
            assert sets == {
                "CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapAmb": 0, "NoNewPrivs": 1
            }  # fmt: skip
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)


def test_nothing_is_left_with_a_helper(cgroup: Cgroup, tmp_path: Path) -> None:
    """With no privilege at all, what a loss hid of other users' processes is still found."""
    tmp_path.chmod(0o755)
    path = tmp_path / "scan.sock"
    options = ["--output", "json", "--set", f"scan.socket={path}"]
    options += ["--set", "transport.ring_bytes=4096"]
    with _helper(path) as codes, running(tmp_path, cgroup.path, *options) as agent:
        for sets in _sets(agent):
            assert sets == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0, "NoNewPrivs": 1}
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
    assert codes == [0] * len(codes)
    assert len(codes) >= 2


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
    for request in ("", "[]\n", "{}\n", "\x00\n"):
        done = subprocess.run(
            [AGENTD, "scan"], input=request, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
