"""A file system that stops answering when a test says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.agent import ENOUGH_SECONDS

_FUSE = Path(__file__).with_name("fuse.py")


class StuckFiles:
    """A mounted file system; ``freeze`` makes it answer no more."""

    def __init__(self, attic: Path, content: str) -> None:
        self._mount = attic / "mnt"
        self._mount.mkdir()
        self.program, self.lock = str(self._mount / "program"), str(self._mount / "lock")
        command = [sys.executable, str(_FUSE), str(self._mount), content]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "mounted\n"

    def freeze(self) -> None:
        """From now on whoever asks waits, in a state in which nobody can kill him."""
        self._server.send_signal(signal.SIGUSR1)

    def close(self) -> None:
        """Let all go that wait; more than once does no harm."""
        if self._server.poll() is None:
            self._server.kill()
            self._server.communicate()
            subprocess.run(["umount", "--lazy", str(self._mount)], check=True)


def wait_until_it_runs(pid: int, program: str) -> None:
    """Wait until a process has exec'd for the last time."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while os.readlink(f"/proc/{pid}/exe") != os.path.realpath(program):
        assert time.monotonic() < deadline
        time.sleep(0.01)
