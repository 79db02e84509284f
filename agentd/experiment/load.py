"""The load: shells that run short commands in loops, in a cgroup of their own, one a CPU.

They are started and moved before anything is traced and wait for a word, so that each of their
events, and nothing else, is what a tracer of that cgroup has to report.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from agentd.host.cgroups import cgroup2_mount

_LOOP = 'read -r go; i=0; while [ "$i" -lt "$1" ]; do /bin/true; i=$((i + 1)); done'
_REMOVE_TRIES = 100


@contextlib.contextmanager
def own_cgroup() -> Iterator[Path]:
    """The folder of a new cgroup, removed in the end. Raises ConfigError without cgroup v2."""
    folder = cgroup2_mount() / f"agentd-bench-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        for _ in range(_REMOVE_TRIES):  # a process that has just ended keeps it for a moment
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.01)


class Load:
    """Shells that are ready to run ``commands`` in all."""

    def __init__(self, cgroup: Path, workers: int, commands: int) -> None:
        shares = [commands // workers + (i < commands % workers) for i in range(workers)]
        self._shells = [
            subprocess.Popen(
                ["/bin/sh", "-c", _LOOP, "sh", str(share)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for share in shares
        ]
        for shell in self._shells:
            (cgroup / "cgroup.procs").write_text(str(shell.pid))
        self.events = 3 * commands + workers
        """What a complete trace has: fork, exec and exit of each command, and the shells' exits."""

    def go(self) -> None:
        """Let all begin."""
        for shell in self._shells:
            assert shell.stdin is not None
            shell.stdin.close()

    def wait(self) -> None:
        """Until all have ended."""
        for shell in self._shells:
            shell.wait()

    def close(self) -> None:
        """End what still runs."""
        for shell in self._shells:
            if shell.poll() is None:
                shell.kill()
            shell.wait()
            if shell.stdin is not None:
                shell.stdin.close()
