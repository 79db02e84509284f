"""The load: its cgroup, the generator that makes it, and what the generator says of it.

Whatever is started here is ended here, by its pid, whichever way the benchmark goes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from observe import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator

EX_UNAVAILABLE = 69
EX_NOPERM = 77

STOP_TIMEOUT_S = 20.0
LOAD_GRACE_S = 30.0
POLL_S = 0.02
KINDS = ("fork", "exec", "exit")


@dataclass(frozen=True)
class Cgroup:
    """The cgroup of the load: where it is, and how agentd calls it."""

    path: Path
    name: str


def cgroup2_mount() -> Path:
    """Where the cgroup v2 hierarchy is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if source.split()[0] == "cgroup2":
            point = mount.split()[4]
            return Path(re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), point))
    raise BenchError("no cgroup v2 hierarchy is mounted here", EX_UNAVAILABLE)


def _remove_cgroup(path: Path) -> None:
    """Remove it; its last process may need a moment to be gone."""
    deadline = time.monotonic() + 5.0
    while True:
        try:
            path.rmdir()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise BenchError(f"cannot remove {path}: {error.strerror}") from error
            time.sleep(POLL_S)


@contextmanager
def own_cgroup() -> Iterator[Cgroup]:
    """A cgroup for this run of the benchmark."""
    name = f"agentd-bench-{os.getpid()}"
    path = cgroup2_mount() / name
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot make {path}: {error.strerror}", EX_NOPERM) from error
    try:
        yield Cgroup(path, f"/{name}")
    finally:
        _remove_cgroup(path)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that is still there."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class LoadPlan:
    """What the generator is asked for; rate 0 is flat out, count 0 until the time is over."""

    shape: str
    rate_per_s: int
    seconds: float
    count: int = 0


@dataclass(frozen=True)
class LoadReport:
    """What the generator says it really did: the line of JSON that it prints."""

    shape: str
    workers: int
    worker_forks: int
    forks: int
    execs: int
    exits: int
    failed: int
    exec_failed: int
    wrong_status: int
    skipped: int
    stopped: bool
    seconds: float
    per_second: float
    cpu_seconds: float
    children_cpu_seconds: float

    def events(self) -> dict[str, int]:
        """The events of its cgroup, by kind: see the top of loadgen.c."""
        return {
            "fork": self.forks + self.worker_forks,
            "exec": self.execs,
            "exit": self.exits + self.worker_forks + 1,
        }


@dataclass(frozen=True)
class Load:
    """A load that is running."""

    process: subprocess.Popen[bytes]
    seconds: float

    def report(self) -> LoadReport:
        """Wait for its end and read what it did."""
        try:
            out, _ = self.process.communicate(timeout=self.seconds + LOAD_GRACE_S)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the load did not end in {self.seconds:.0f} s") from None
        if self.process.returncode:
            raise BenchError(f"the load generator failed with {self.process.returncode}")
        report = LoadReport(**json.loads(out))
        if report.wrong_status or report.exec_failed:
            raise BenchError("children of the load generator failed: there is no truth to compare")
        return report


@contextmanager
def running_load(loadgen: Path, cgroup: Cgroup, plan: LoadPlan) -> Iterator[Load]:
    """A load in its cgroup."""
    command = [
        str(loadgen),
        *("--shape", plan.shape),
        *("--rate", str(plan.rate_per_s)),
        *("--seconds", str(plan.seconds)),
        *(("--count", str(plan.count)) if plan.count else ()),
        *("--cgroup", str(cgroup.path)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0)
    try:
        yield Load(process, plan.seconds)
    finally:
        end(process)
