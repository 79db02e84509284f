"""A daemon that records a storm while somebody attacks it, and what the attack did to it.

All figures come from outside of the daemon: the load generator says what it did, a reader of
standard output says what was reported and when, and the kernel says how much memory it took.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cgroup import Cgroup
from tests.e2e.agent import ENOUGH_SECONDS, Agent, free_port, listening
from tests.kernel.loadgen import loadgen_command

NOBODY = 65534
_READER = Path(__file__).with_name("reader.py")
PAUSE_SECONDS_MAX = 10.0
"""What no attack may cost, beside attackers and load on two CPUs that others want, too. Without its
mend each of them cost more, or did not end.
"""
_STORM_SECONDS_MAX = 600
"""A safety net: nobody storms on after a test that was killed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack did."""

    missing: int
    """Events that happened and were not reported; below 0 if more were reported."""
    lost: int
    """Events that were reported as lost."""
    longest_pause_seconds: float
    """The longest time from an event until its line was read."""
    peak_rss_bytes: int
    """Of the process that drains the kernel."""
    exit_code: int


class Siege:
    """A running daemon and its storm. ``finish`` ends both."""

    def __init__(
        self, agent: Agent, storm: subprocess.Popen[str], reader: subprocess.Popen[bytes]
    ) -> None:
        self.agent = agent
        self._storm = storm
        self._reader = reader

    def finish(self) -> Outcome:
        """End the storm, stop the daemon, and compare what happened with what was reported."""
        self._storm.send_signal(signal.SIGTERM)
        made = json.loads(self._storm.communicate(timeout=ENOUGH_SECONDS)[0])
        peak_rss_bytes = _peak_rss_bytes(self.agent.process.pid)
        exit_code = self.agent.stop()
        self._reader.wait(ENOUGH_SECONDS)
        report = json.loads(_report_of(self.agent).read_text())
        workers = made["worker_forks"]
        happened = made["forks"] + made["execs"] + made["exits"] + 2 * workers + 1
        return Outcome(
            happened - sum(report["events"].values()),
            report["lost"],
            report["longest_delay_ns"] / 1e9,
            peak_rss_bytes,
            exit_code,
        )


@contextlib.contextmanager
def besieged(
    folder: Path, cgroup: Cgroup, loadgen: Path, *options: str, per_second: int = 200
) -> Iterator[Siege]:
    """A daemon that is ready, and a storm of so many lifecycles a second in its cgroup."""
    output = folder / "agentd.out"
    with contextlib.ExitStack() as stack:
        report = output.with_suffix(".report")
        reader = stack.enter_context(_ended(
            [sys.executable, str(_READER), str(output), str(report)], stdin=subprocess.PIPE
        ))  # fmt: skip
        assert reader.stdin is not None
        options = ("--output", "json", *options)
        agent = stack.enter_context(
            listening(folder, cgroup.path, free_port(), *options, stdout=reader.stdin.fileno())
        )
        reader.stdin.close()  # the daemon's is the only one
        agent.wait_until_ready()
        pace = ("--rate", str(per_second), "--seconds", str(_STORM_SECONDS_MAX))
        command = loadgen_command(loadgen, cgroup.folder, *pace)
        storm = stack.enter_context(_ended(command, stdout=subprocess.PIPE, text=True))
        events_before = agent.events_total()
        agent.wait_until(lambda: agent.events_total() > events_before)
        yield Siege(agent, storm, reader)


@contextlib.contextmanager
def as_nobody(command: Sequence[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as a user without any right; it is killed in the end if it still runs."""
    settings: dict[str, object] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    with _ended(command, **settings | options) as process:
        yield process


@contextlib.contextmanager
def _ended(command: Sequence[str], **options: object) -> Iterator[subprocess.Popen]:  # type: ignore[type-arg]
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _report_of(agent: Agent) -> Path:
    return Path(agent.socket).with_suffix(".report")


def _peak_rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)
    assert peak is not None
    return int(peak[1]) * 1024


def own_by_nobody(folder: Path) -> Path:
    """Give a folder to the user without rights."""
    os.chown(folder, NOBODY, NOBODY)
    return folder
