"""The commands that ask, where standard output is no terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, Agent, running

COMMANDS = {
    "status": ["status"],
    "tree": ["tree"],
    "ps": ["ps"],
    "explain": ["explain", "{pid}"],
    "top": ["top", "--seconds", "0.1"],
    "follow": ["follow"],
}


@pytest.fixture
def agent(cgroup: Cgroup, tmp_path: Path) -> Iterator[Agent]:
    """One with something to tell, now and all the time."""
    work = cgroup.popen(["/bin/sh", "-c", "while :; do sleep 0.05; done"])
    try:
        with running(tmp_path, cgroup.path, "--output", "none") as agent:
            yield agent
    finally:
        work.kill()
        work.wait()


def _command(agent: Agent, cgroup: Cgroup, name: str) -> list[str]:
    first, *rest = COMMANDS[name]
    pid = str(cgroup.processes()[0])
    return [AGENTD, first, "--socket", agent.socket, *(word.format(pid=pid) for word in rest)]


def _written_to(stdout: int | None, command: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        command,
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=ENOUGH_SECONDS,
        preexec_fn=None if stdout is not None else lambda: os.close(1),
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("name", COMMANDS)
def test_what_cannot_be_written(agent: Agent, cgroup: Cgroup, name: str, form: list[str]) -> None:
    """A reader that has left, a full disk, a closed standard output: quiet, or one sentence."""
    command = [*_command(agent, cgroup, name), *form]
    ours, theirs = os.pipe()
    os.close(ours)
    assert _written_to(theirs, command) == (141, "")
    os.close(theirs)
    with open("/dev/full", "wb") as full:
        code, said = _written_to(full.fileno(), command)
    assert code == os.EX_IOERR
    assert said == "agentd: cannot write to standard output: No space left on device\n"
    assert _written_to(None, command) == (os.EX_IOERR, "agentd: standard output is closed\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_head(agent: Agent, cgroup: Cgroup, name: str) -> None:
    """``| head -n 1`` has its line, and nobody says a word."""
    script = '"$@" | head -n 1'
    done = subprocess.run(
        ["/bin/bash", "-c", script, "-", *_command(agent, cgroup, name)],
        capture_output=True, text=True, check=False, timeout=ENOUGH_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
