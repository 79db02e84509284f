"""A cgroup of a test's own: what runs in it is all that agentd gets to see."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentd.host.cgroups import cgroup2_mount

ENOUGH_SECONDS = 300.0
"""A safety net for what should be over at once, on an emulated CPU that others want, too."""


class Cgroup:
    """One cgroup below the cgroup v2 mount."""

    def __init__(self, name: str) -> None:
        self.path = f"/{name}"
        self.folder = cgroup2_mount() / name

    def popen(self, command: Sequence[str], **options: object) -> subprocess.Popen[str]:
        """Start a command in the cgroup. Its first event is the exec: the fork was outside."""
        procs = str(self.folder / "cgroup.procs")

        def enter() -> None:
            Path(procs).write_text(str(os.getpid()))

        settings: dict[str, object] = {"text": True, "stdin": subprocess.DEVNULL}
        settings |= options
        return subprocess.Popen(command, preexec_fn=enter, **settings)  # type: ignore[call-overload, no-any-return]  # noqa: PLW1509

    def run(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command in the cgroup to its end."""
        options.setdefault("stdout", subprocess.PIPE)
        with self.popen(command, **options) as process:
            output, errors = process.communicate(timeout=ENOUGH_SECONDS)
            return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def processes(self) -> list[int]:
        """The pids that are in it."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def end(self) -> None:
        """End what is left in it and remove it, children first."""
        for child in self.folder.iterdir():
            if child.is_dir():
                Cgroup(str(child.relative_to(cgroup2_mount()))).end()
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        for _ in range(100):  # a zombie's cgroup is busy for a moment
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.02)


@contextlib.contextmanager
def own_cgroup(name: str) -> Iterator[Cgroup]:
    """Make a cgroup and remove it in the end."""
    cgroup = Cgroup(f"agentd-test-{os.getpid()}-{name}")
    cgroup.folder.mkdir()
    try:
        yield cgroup
    finally:
        cgroup.end()


@contextlib.contextmanager
def only_on(cpu: int) -> Iterator[None]:
    """What is started meanwhile stays on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
