"""agentd.rounds"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable

import pytest

from agentd import host
from agentd.core.accounting import KernelCounters, Progress
from agentd.core.batch import Batch
from agentd.core.event import Event
from agentd.core.overlap import Inheritance
from agentd.core.pace import Pace
from agentd.core.pipeline import Delivery, Pipeline
from agentd.core.process import Applied
from agentd.core.untold import Untold
from agentd.rounds import Rounds
from tests.records import CPUS, FORK, WIRE, counters, delivery, fork, limits


class FakeTransport:
    """Deliveries of one event each, behind an fd that is readable while there are any."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.queue: list[Event] = []
        self.put_total = 0
        self.commits = 0
        self.size_bytes = 1000
        self.used_bytes = self.unread_bytes = 0
        self.filled = 0.0
        self.poll_seconds: float | None = None

    def put(self, count: int = 1) -> None:
        """The kernel submits."""
        for _ in range(count):
            event = fork(
                boottime_ns=host.boottime_ns(), seq=self.put_total, tgid=self.put_total + 2
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
        self.dropped_below = 0
        self._end = 0

    @property
    def behind(self) -> bool:
        """Whether it is not allowed to write something."""
        return self.finished_below < self._end

    @property
    def finished_below(self) -> int:
        """As it is allowed."""
        allowed = self._end if self.stuck_at is None else min(self.stuck_at, self._end)
        return max(allowed, self.dropped_below)

    def write(self, batch: Batch) -> None:
        """Noted."""
        self.batches.append(batch)
        self._end = batch.first_sequence + len(batch.entries)

    def drop_below(self, number: int, wall_offset_ns: int) -> None:
        """Noted."""
        self.dropped_below = number

    def untold(self) -> Untold:
        """One event for each number dropped."""
        stuck_at = self._end if self.stuck_at is None else self.stuck_at
        missing = self.dropped_below - stuck_at
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
        await _until(lambda: len(self.out()) >= count)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def _round_after(rounds: Rounds) -> None:
    """Two more, of which at least one began after this."""
    total = rounds.total
    await _until(lambda: rounds.total > total + 1)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_events_come_out_in_sequence() -> None:
    """What the kernel submits goes out, in rounds, numbered without a gap, and is committed."""

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        for count in (1, 3, 2):
            harness.transport.put(count)
            await asyncio.sleep(0.005)
        await harness.until(6)
        await _stop(task)
        assert harness.out() == list(range(6))
        assert harness.rounds.total >= 6
        assert harness.transport.commits == harness.rounds.total
        assert harness.rounds.latency.count == 6

    asyncio.run(main())


def test_a_clock_that_is_set_changes_nothing_but_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Years forth and back between rounds: order, account, keys and tree are those of boot time."""
    offsets = itertools.cycle([10**18, 3 * 10**18, 0, -(10**15)])
    monkeypatch.setattr(host, "wall_offset_ns", lambda: next(offsets))

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        for count in range(1, 9):
            harness.transport.put()
            await harness.until(count)
        await _stop(task)
        batches = harness.outlets.batches
        assert len({batch.wall_offset_ns for batch in batches}) > 1
        entries = [entry for batch in batches for entry in batch.entries]
        stamps = [entry.event.boottime_ns for entry in entries if isinstance(entry, Applied)]
        assert stamps == sorted(stamps)
        queue, living = harness.pipeline.reorderer, harness.pipeline.tree.living
        assert (queue.late_total, queue.forced_total, harness.pipeline.imbalance) == (0, 0, 0)
        assert [process.key[0] for process in living.values()] == list(range(2, 10))

    asyncio.run(main())


def test_held_events_need_no_other_to_leave() -> None:
    """An event within the slack goes out in a later round of its own."""

    async def main() -> None:
        harness = Harness(slack_ns=5_000_000)
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put()
        await harness.until(1)
        await _stop(task)

    asyncio.run(main())


def test_an_idle_transport_has_no_rounds() -> None:
    """While nothing is submitted, nothing runs."""

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        await asyncio.sleep(0.02)
        await _stop(task)
        assert harness.rounds.total == 0

    asyncio.run(main())


def test_no_round_looks_for_what_the_kernel_would_tell_of() -> None:
    """One round for one event, and none behind it; but one for whoever asks for it."""

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put()
        await harness.until(1)
        await asyncio.sleep(0.02)
        assert harness.rounds.total == 1
        harness.rounds.wake()
        await _until(lambda: harness.rounds.total >= 2)
        await _stop(task)

    asyncio.run(main())


def test_a_round_looks_again_where_the_kernel_does_not_tell_of_everything() -> None:
    """As behind perf buffers: for as long as something is found."""

    async def main() -> None:
        harness = Harness()
        harness.transport.poll_seconds = 1000.0
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put()
        await _until(lambda: harness.rounds.total >= 2)
        await asyncio.sleep(0.02)
        assert harness.rounds.total == 2
        await _stop(task)

    asyncio.run(main())


def test_finish_takes_all_there_is() -> None:
    """The last rounds drain the transport and hold nothing back."""

    async def main() -> None:
        harness = Harness(slack_ns=10**18)
        harness.transport.put(5)
        await harness.rounds.finish()
        assert harness.out() == list(range(5))

    asyncio.run(main())


def test_room_is_given_back_when_the_sinks_have_written() -> None:
    """What a sink has not written stays in the buffer, and rounds go on meanwhile."""

    async def main() -> None:
        harness = Harness()
        harness.outlets.stuck_at = 2
        task = asyncio.create_task(harness.rounds.run())
        for count in (2, 5):
            harness.transport.put(count - len(harness.out()))
            await harness.until(count)
        await asyncio.sleep(0.01)
        assert harness.transport.commits == 2
        assert harness.kept[-1].next_seq[0] == 2
        harness.outlets.stuck_at = None
        await _until(lambda: harness.transport.commits >= 5)
        await _stop(task)
        assert harness.kept[-1].next_seq[0] == 5
        assert harness.kept[-1].untold == ()

    asyncio.run(main())


def test_how_far_the_stream_is_can_be_noted() -> None:
    """Once the sinks are as far; no room is given back for it, and none while a loss waits."""

    async def main() -> None:
        harness = Harness()
        harness.pipeline.inherit(Inheritance(cut_ns := host.boottime_ns()))
        harness.rounds.noting = True
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put(2)
        await _until(lambda: harness.rounds.kept_ns == cut_ns)
        assert (harness.out(), harness.transport.commits) == ([], 0)
        assert harness.kept[-1].next_seq[0] == 0
        harness.pipeline.skip((1, 0, 0), 5, host.boottime_ns())
        noted = len(harness.kept)
        await _round_after(harness.rounds)
        assert len(harness.kept) == noted
        harness.outlets.stuck_at = 0
        harness.pipeline.overlap.own_waits = False
        await harness.until(3)
        await _round_after(harness.rounds)
        assert harness.rounds.kept_ns == cut_ns
        harness.outlets.stuck_at = None
        await _until(lambda: harness.kept[-1].next_seq[0] == 2)
        await _stop(task)

    asyncio.run(main())


def test_our_own_waits_no_longer_than_there_is_room() -> None:
    """What other programs left has time until the buffer is three quarters full."""

    async def main() -> None:
        harness = Harness()
        harness.pipeline.inherit(Inheritance(host.boottime_ns()))
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put(2)
        await _until(lambda: harness.rounds.total > 4)
        assert (harness.out(), harness.transport.commits) == ([], 0)
        harness.transport.filled = 0.8
        await harness.until(2)
        await _stop(task)
        assert harness.transport.commits >= 2

    asyncio.run(main())


def test_a_sink_that_is_behind_drops_before_the_buffer_is_full() -> None:
    """With the buffer three quarters full the oldest are dropped, and that is written down."""

    async def main() -> None:
        harness = Harness()
        harness.outlets.stuck_at = 1
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put(3)
        await harness.until(3)
        assert harness.outlets.dropped_below == 0
        harness.transport.filled = 0.8
        harness.transport.put()
        await harness.until(4)
        assert harness.outlets.dropped_below == 4
        assert harness.kept[-1].next_seq[0] == 4
        assert [row[0] for row in harness.kept[-1].untold] == [1, 3]
        harness.transport.filled = 0.0
        harness.outlets.stuck_at = None
        harness.transport.put()
        await harness.until(5)
        await _stop(task)
        assert harness.kept[-1].untold == ()

    asyncio.run(main())


def test_the_end_waits_for_the_sinks() -> None:
    """finish returns when all has been written."""

    async def main() -> None:
        harness = Harness()
        harness.outlets.stuck_at = 0
        harness.transport.put(4)
        task = asyncio.create_task(harness.rounds.finish())
        await asyncio.sleep(0.03)
        assert not task.done()
        assert harness.out() == list(range(4))
        harness.outlets.stuck_at = None
        async with asyncio.timeout(30):
            await task
        assert harness.transport.commits >= 4

    asyncio.run(main())
