"""agentd's own parts on the live kernel, driven by hand: attach, let something happen, collect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agentd.core.loss.tracker import KernelCounters
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied
from agentd.core.wire.events import Event, Exec, Exit, Fork, Lost
from agentd.daemon.capture import Capture
from agentd.host import cgroups, clock, procfs, system
from agentd.kernel.compile import Settings
from agentd.kernel.loader_client import Attached, Loader
from tests.cgroup import ENOUGH_SECONDS
from tests.records import limits

LIMITS = limits(65536, live_capacity=65536, exited_capacity=65536)


class Tracer:
    """The pipeline over the programs of one loader."""

    def __init__(self, attached: Attached, cgroup_path: str, *, seed: bool) -> None:
        self.capture = Capture(attached, LIMITS)
        self.wire = self.capture.wire
        self.handover = attached.handover
        self.transport = self.capture.transport
        self.pipeline = self.capture.pipeline
        if seed:
            begun_ns = clock.boottime_ns()
            self.pipeline.seed(procfs.scan(cgroup=cgroup_path), begun_ns)

    def counters(self) -> KernelCounters:
        """The kernel's counters now."""
        return self.capture.counters.read()

    def round(self) -> list[Entry]:
        """One round."""
        now_ns = clock.boottime_ns()
        before = self.counters()
        delivery = self.transport.drain(1 << 24)
        entries = self.pipeline.push(now_ns, before, delivery, self.counters())
        self.transport.commit(self.pipeline.finished_drains())
        return entries

    def assert_all(self, told: Sequence[int], truth: Sequence[int]) -> None:
        """So many by kind are all that happened, but for runs that the kernel left out."""
        skipped = self.capture.skipped_runs()
        if any(skipped):
            print(f"left out by the kernel: {skipped}")
        least = [made - left_out for made, left_out in zip(truth, skipped, strict=True)]
        assert all(a <= b <= c for a, b, c in zip(least, told, truth, strict=True)), (
            f"{told} of {truth}, {skipped} left out by the kernel"
        )

    def collect(self) -> list[Entry]:
        """Rounds until all is told: nothing came, nothing is held, nothing is missing."""
        entries: list[Entry] = []
        quiet = 0
        deadline = time.monotonic() + ENOUGH_SECONDS
        while quiet < 3:
            assert time.monotonic() < deadline, self._unsettled()
            some = self.round()
            entries += some
            waiting = self.pipeline.waiting(self.counters())
            quiet = 0 if some or waiting else quiet + 1
            time.sleep(0.005)
        return entries

    def _unsettled(self) -> str:
        counters, progress = self.counters(), self.pipeline.progress(0)
        return (
            f"events keep coming, or something stays missing: {counters},"
            f" told below {progress.next_seq}, settled {progress.settled},"
            f" {self.transport.unread_bytes} bytes unread"
        )


class Current:
    """What the running test is about; conftest.py sets it."""

    transport = "ringbuf"


@contextmanager
def attached(
    cgroup_path: str, buffer_bytes: int = 1 << 22, *, seed: bool = True
) -> Iterator[Tracer]:
    """Programs that keep to a cgroup, loaded by agentd's own loader, over the test's transport.

    ``buffer_bytes`` is the size of the ring, or of each CPU's perf buffer.
    """
    settings = Settings(
        cpus=system.possible_cpus(),
        page_bytes=system.PAGE_BYTES,
        cgroup=cgroups.find_filter(cgroup_path),
        transport=Current.transport,
        ring_bytes=buffer_bytes,
        perf_bytes_per_cpu=buffer_bytes,
    )
    loader = Loader(settings)
    try:
        tracer = Tracer(asyncio.run(loader.attached()), cgroup_path, seed=seed)
        loader.dismiss()
    finally:
        loader.close()
    try:
        yield tracer
    finally:
        tracer.capture.close()


def applied(entries: list[Entry]) -> list[Applied]:
    """The entries that are events."""
    return [entry for entry in entries if isinstance(entry, Applied)]


def events(entries: list[Entry]) -> list[Event]:
    """The events alone."""
    return [entry.event for entry in applied(entries)]


def lost(entries: list[Entry]) -> list[Lost]:
    """The losses."""
    return [entry for entry in entries if isinstance(entry, Lost)]


def failures_by_kind(counters: KernelCounters) -> list[int]:
    """Failed attempts of fork, exec and exit, for whatever cause."""
    sums = list(map(sum, counters.failures))
    return [a + b for a, b in zip(sums[:3], sums[3:], strict=True)]


def of(entries: list[Entry], tgid: int) -> list[Event]:
    """The events of one process."""
    return [event for event in events(entries) if event.tgid == tgid]


def per_kind(entries: list[Entry]) -> list[int]:
    """How many forks, execs and exits they tell of."""
    counts = [0, 0, 0]
    for event in events(entries):
        counts[event.kind] += 1
    return counts


def shape(found: list[Event]) -> list[str]:
    """The kinds of events, in order."""
    names = {Fork: "fork", Exec: "exec", Exit: "exit"}
    return [names[type(event)] for event in found]


def name_of(event: Event) -> bytes:
    """Its short name. On old kernels the rest of an older, longer one stands behind the NUL."""
    return event.comm.partition(b"\0")[0]
