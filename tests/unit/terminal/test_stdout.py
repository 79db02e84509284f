"""agentd.terminal.stdout"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHIPPED = str(Path(__file__).resolve().parents[3] / "config/agentd.toml")
AGENTD = [sys.executable, "-c", "from agentd.cli.main import main; main()"]
COMMANDS = (["check-config", SHIPPED], ["--help"], ["top", "--help"], ["--version"])


def _written_to(stdout: int | None, command: list[str]) -> tuple[int, str]:
    """Exit code and standard error of a command that writes there; None: it is closed."""
    done = subprocess.run(
        [*AGENTD, *command],
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False,
        preexec_fn=None if stdout is not None else lambda: os.close(1),
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_left(command: list[str]) -> None:
    """Nobody is told anything, and the exit code is what a shell says of SIGPIPE."""
    ours, theirs = os.pipe()
    os.close(ours)
    assert _written_to(theirs, command) == (141, "")
    os.close(theirs)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk(command: list[str]) -> None:
    """One sentence that says what is wrong, and an exit code of its own."""
    with open("/dev/full", "wb") as full:
        code, said = _written_to(full.fileno(), command)
    assert code == os.EX_IOERR
    assert said == "agentd: cannot write to standard output: No space left on device\n"


def test_closed() -> None:
    """A standard output that is closed cannot be written."""
    code, said = _written_to(None, COMMANDS[0])
    assert (code, said) == (os.EX_IOERR, "agentd: standard output is closed\n")
