"""A user with a cgroup of his own gives it a name that is no text."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from agentd.helpers.client import Helpers
from agentd.helpers.proc_scan import Scanned, Scanner
from agentd.host.capabilities import CAP_SYS_PTRACE
from agentd.recording.replay import open_recording
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS
from tests.e2e.manager import managing
from tests.helpers import with_helpers

_NAME = b"evil\xff\x1b[2J.service"


@pytest.fixture
def foreign(cgroup: Cgroup) -> Iterator[Cgroup]:
    """A cgroup with such a name, and a process in it."""
    inner = Cgroup(f"{cgroup.path[1:]}/{os.fsdecode(_NAME)}")
    inner.folder.mkdir()
    with inner.popen(["sleep", "1000"]) as sleeper:
        yield inner
        sleeper.kill()


def _options(cgroup: Cgroup, *more: str) -> list[str]:
    none = ("--set", "metrics.listen=", "--set", "control.socket=", "--output", "json")
    return ["--set", f"filter.cgroup={cgroup.path}", *none, *more]


def test_lines_and_the_planned_stop(foreign: Cgroup, cgroup: Cgroup, tmp_path: Path) -> None:
    """Strict parsers read each line, and a planned restart takes the tree along."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        for _ in range(2):
            manager.start()
            foreign.run(["/bin/true"])
            assert manager.end(signal.SIGTERM) == 0, manager.log()
        assert "past" in manager.kept
        lines = [line for output in manager.outputs for line in output.read_bytes().splitlines()]
        paths = {orjson.loads(line)["agentd"].get("cgroup", {}).get("path") for line in lines}
    assert f"{cgroup.path}/evil\ufffd\x1b[2J.service" in paths


def test_a_recording(foreign: Cgroup, cgroup: Cgroup, tmp_path: Path) -> None:
    """``--record`` goes on to its end, and the recording is whole."""
    path = tmp_path / "recording"
    command = [AGENTD, "run", *_options(cgroup, "--duration", "3", "--record", str(path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as agent:
        assert agent.stderr is not None
        while agent.poll() is None and b'"ready"' not in agent.stderr.readline():
            pass
        foreign.run(["/bin/true"])
        agent.communicate(timeout=ENOUGH_SECONDS)
    assert agent.returncode == 0
    recording = open_recording(path)
    steps = [type(step).__name__ for step in recording.steps()]
    recording.close()
    assert steps[-1] == "Flush"


@pytest.mark.usefixtures("foreign")
def test_the_scan(cgroup: Cgroup) -> None:
    """A scan is complete, and each path it brings is text that a strict encoder takes."""

    async def scan(helpers: Helpers) -> Scanned:
        return await Scanner(cgroup.path, helpers).scan()

    scanned = with_helpers(scan, keeps=(CAP_SYS_PTRACE,))
    assert (scanned.complete, scanned.failure) == (True, "")
    paths = [observed.process.seen_cgroup for observed in scanned.processes]
    evil = [path for path in paths if path.startswith(f"{cgroup.path}/evil")]
    assert evil == [f"{cgroup.path}/evil\ufffd\x1b[2J.service"]
    orjson.dumps(paths)
