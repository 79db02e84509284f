"""The rounds: wait until the kernel has something, let it gather, take it, hand it on, commit.

The ring's adaptive notification wakes the loop once; while events keep coming, rounds follow
each other at a pace of their own and the loop does not poll at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from agentd import host
from agentd.core.accounting import KernelCounters, Progress
from agentd.core.batch import Batch
from agentd.core.histogram import Histogram
from agentd.core.journal import Flush, Journal, Round, no_journal
from agentd.core.pace import Pace
from agentd.core.pipeline import Delivery, Entry, Pipeline
from agentd.core.process import Applied

_MS = 1_000_000
LATENCY_BOUNDS_NS = tuple(ms * _MS for ms in (1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000))
DURATION_BOUNDS_NS = tuple(
    us * 1000 for us in (100, 250, 500, 1000, 2500, 5000, 10000, 50000, 250000)
)

_BATCH_ENTRIES = 256
"""What is rendered at a time; a text is several times as large as its event."""

_LAST_ROUNDS_MAX = 256
"""At the end: enough for a full ring of any size in rounds of the default size."""


class Transport(Protocol):
    """What the rounds need of a buffer between kernel and user space."""

    @property
    def size_bytes(self) -> int:
        """How much fits into the buffer."""

    @property
    def used_bytes(self) -> int:
        """How much of it is taken now."""

    def fileno(self) -> int:
        """An fd that is readable when there is something to drain."""

    @property
    def filled(self) -> float:
        """How full the fullest part of it is, from 0 to 1."""

    @property
    def poll_seconds(self) -> float | None:
        """How often to look without being woken; None if the fd tells of everything."""

    def drain(self, limit_bytes: int) -> Delivery:
        """What the kernel has submitted."""

    @property
    def unread_bytes(self) -> int:
        """How much of it no drain has brought yet."""

    def commit(self, drains: int) -> None:
        """Let the kernel reuse what so many drains brought, the oldest first."""


class Rounds:
    """Drives the pipeline.

    ``write`` hands a batch to the sinks and returns when they have written it. They have taken
    it over as soon as it is called: cancelled, it is not called with the same batch again.
    ``keep`` is told how far the stream has been handed on, before its room is given back.
    """

    def __init__(
        self,
        transport: Transport,
        read_counters: Callable[[], KernelCounters],
        pipeline: Pipeline,
        write: Callable[[Batch], Awaitable[None]],
        *,
        pace: Pace,
        round_bytes: int,
        after_round: Callable[[], None] = lambda: None,
        keep: Callable[[Progress], None] = lambda progress: None,
        journal: Journal = no_journal,
    ) -> None:
        self.total = 0
        self.duration = Histogram(DURATION_BOUNDS_NS)
        self.latency = Histogram(LATENCY_BOUNDS_NS)
        self.last_ns = host.boottime_ns()
        """When the last round ended."""
        self._transport = transport
        self._read_counters = read_counters
        self._pipeline = pipeline
        self._write = write
        self._outbox: deque[Batch] = deque()
        self._pace = pace
        self._round_bytes = round_bytes
        self._after_round = after_round
        self._keep = keep
        self._journal = journal
        self._ready = asyncio.Event()
        self.entries_total = 0
        """Entries that left the pipeline; the next one's sequence number."""

    async def run(self) -> None:
        """Rounds for ever, until cancelled."""
        while True:
            await self._readable()
            more, behind = True, False
            while more:
                await asyncio.sleep(0 if behind else self._pace.delay_seconds)
                delivery = await self._round()
                behind = bool(delivery.spans) and not delivery.drained
                more = bool(delivery.spans) or self._pipeline.waiting(self._read_counters())

    def set_pace(self, pace: Pace, round_bytes: int) -> None:
        """From the next round on."""
        self._pace, self._round_bytes = pace, round_bytes

    def wake(self) -> None:
        """Do a round though the kernel has nothing new."""
        self._ready.set()

    async def finish(self) -> None:
        """The last rounds, when nothing new is coming: take all there is, hold nothing back."""
        for _ in range(_LAST_ROUNDS_MAX):
            if (await self._round()).drained:
                break
        wall_offset_ns = host.wall_offset_ns()
        self._journal(Flush(wall_offset_ns))
        await self._hand_on(self._pipeline.flush(), wall_offset_ns)
        self._commit()

    async def _readable(self) -> None:
        """Wait for the kernel's notification, or find that it left something without one."""
        loop = asyncio.get_running_loop()
        ready = self._ready
        poll_seconds = self._transport.poll_seconds
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            if self._transport.unread_bytes:
                ready.set()
            elif poll_seconds is not None:
                timer = loop.call_later(poll_seconds, look)

        fd = self._transport.fileno()
        loop.add_reader(fd, ready.set)
        look()
        try:
            await ready.wait()
        finally:
            ready.clear()
            loop.remove_reader(fd)
            if timer is not None:
                timer.cancel()

    async def _round(self) -> Delivery:
        start_ns = host.boottime_ns()
        before = self._read_counters()
        filled = self._transport.filled
        delivery = self._transport.drain(self._round_bytes)
        self._pace.after(len(delivery.spans), filled)
        after = self._read_counters()
        wall_offset_ns = host.wall_offset_ns()
        self._journal(Round(start_ns, wall_offset_ns, before, delivery, after))
        entries = self._pipeline.push(start_ns, before, delivery, after)
        await self._hand_on(entries, wall_offset_ns)
        self._commit()
        self.total += 1
        self.last_ns = host.boottime_ns()
        self.duration.add_ages([start_ns], self.last_ns)
        self._after_round()
        return delivery

    def _commit(self) -> None:
        """Give back what has left; what is held would be drained again by a successor."""
        drains = self._pipeline.finished_drains()
        if drains:
            self._keep(self._pipeline.progress(host.boottime_ns()))
            self._transport.commit(drains)

    async def _hand_on(self, entries: list[Entry], wall_offset_ns: int) -> None:
        """Render and write, in pieces; what a cancelled call leaves over goes out first."""
        for start in range(0, len(entries), _BATCH_ENTRIES):
            some = entries[start : start + _BATCH_ENTRIES]
            self._outbox.append(Batch(some, self.entries_total + start, wall_offset_ns))
        self.entries_total += len(entries)
        while self._outbox:
            await self._write(self._outbox.popleft())
        stamps = [entry[0][0] for entry in entries if isinstance(entry, Applied)]
        self.latency.add_ages(stamps, host.boottime_ns())
