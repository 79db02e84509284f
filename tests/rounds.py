"""Rounds over fakes of the buffer and of the sinks."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from agentd.core.batch import Batch
from agentd.core.loss.tracker import KernelCounters, Progress
from agentd.core.pipeline import Pipeline
from agentd.core.undelivered import Untold
from agentd.core.wire.delivery import Delivery
from agentd.core.wire.events import Event
from agentd.daemon.batch_delay import Pace
from agentd.daemon.loop import Rounds
from agentd.host import clock
from tests.records import CPUS, FORK, WIRE, counters, delivery, fork, limits


class FakeTransport:
    """Deliveries of one event each, behind an fd that is readable while there are any."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.queue: list[Event] = []
        self.put_total = 0
        self.commits = 0
        self.unread_bytes = 0
        self.filled = 0.0
        self.poll_seconds: float | None = None

    def put(self, count: int = 1) -> None:
        """The kernel submits."""
        for _ in range(count):
            event = fork(
                boottime_ns=clock.boottime_ns(), seq=self.put_total, tgid=self.put_total + 2
            )
            self.queue.append(event)
            self.put_total += 1
        os.eventfd_write(self.fd, 1)

    def counters(self) -> KernelCounters:
        """What the kernel has counted."""
        return counters({(FORK, 0): self.put_total})

    def fileno(self) -> int:
        """Readable after a put."""
        return self.fd

    def drain(self, limit_bytes: int) -> Delivery:
        """At most one event: any more are left for the next drain."""
        some, self.queue = self.queue[:1], self.queue[1:]
        if not self.queue:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.fd)
        return delivery(list(some), drained=not self.queue)

    def commit(self, drains: int) -> None:
        """Counted."""
        self.commits += drains


class FakeOutlets:
    """Sinks that write as far as they are allowed to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.stuck_at: int | None = None
        self.dropped_below = self.let_go_below = 0
        self._end = 0

    @property
    def behind(self) -> bool:
        """Whether it is not allowed to write something."""
        return self.finished_below < self._end

    @property
    def finished_below(self) -> int:
        """As it is allowed."""
        allowed = self._end if self.stuck_at is None else min(self.stuck_at, self._end)
        return max(allowed, self.dropped_below, self.let_go_below)

    def write(self, batch: Batch) -> None:
        """Noted."""
        self.batches.append(batch)
        self._end = batch.first_sequence + len(batch.entries)

    def let_go(self, number: int) -> None:
        """Noted."""
        self.let_go_below = number

    def drop_below(self, number: int, wall_offset_ns: int) -> None:
        """Noted."""
        self.dropped_below = number

    def untold(self) -> Untold:
        """One event for each number dropped or let go."""
        stuck_at = self._end if self.stuck_at is None else self.stuck_at
        missing = max(self.dropped_below, self.let_go_below) - stuck_at
        return Untold({0: (stuck_at, missing, 1, 2)} if missing > 0 else {})


class Harness:
    """Rounds over a fake transport, and what came out."""

    def __init__(self, slack_ns: int = 0) -> None:
        self.transport = FakeTransport()
        self.outlets = FakeOutlets()
        self.kept: list[Progress] = []
        self.pipeline = Pipeline(WIRE, CPUS, limits(slack_ns=slack_ns), 10_000_000)
        self.rounds = Rounds(
            self.transport,
            self.transport.counters,
            self.pipeline,
            self.outlets,
            pace=Pace(0.001, 0.001),
            round_bytes=100,
            keep=self.kept.append,
        )

    def out(self) -> list[int]:
        """The sequence numbers that came out."""
        batches = self.outlets.batches
        return [b.first_sequence + i for b in batches for i in range(len(b.entries))]

    async def until(self, count: int) -> None:
        """Wait for so many entries."""
        await until(lambda: len(self.out()) >= count)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def round_after(rounds: Rounds) -> None:
    """Two more, of which at least one began after this."""
    total = rounds.total
    await until(lambda: rounds.total > total + 1)


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
