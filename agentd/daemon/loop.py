"""The rounds: wait until the kernel has something, let it gather, take it, hand it on, commit.

The ring's adaptive notification wakes the loop once; while events keep coming, rounds follow
each other at a pace of their own, and what is in the ring already needs no notification.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Protocol

from agentd.core.batch import Batch, events_of
from agentd.core.histogram import Example, Histogram
from agentd.core.loss.tracker import KernelCounters, Progress
from agentd.core.pipeline import Entry, Pipeline
from agentd.core.steps import Flush, Journal, Round, no_journal
from agentd.core.undelivered import Untold
from agentd.core.wire.delivery import Delivery
from agentd.core.wire.events import BOOTTIME_NS
from agentd.daemon.batch_delay import Pace
from agentd.daemon.unacknowledged import Leaving, bounded
from agentd.host import clock

_boottime_ns = itemgetter(BOOTTIME_NS)

_MS = 1_000_000
LATENCY_BOUNDS_NS = tuple(ms * _MS for ms in (1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000))
DURATION_BOUNDS_NS = tuple(
    us * 1000 for us in (100, 250, 500, 1000, 2500, 5000, 10000, 50000, 250000)
)

_BATCH_ENTRIES = 256
"""What is rendered at a time; a text is several times as large as its event."""

_LAST_ROUNDS_MAX = 256
"""At the end: enough for a full ring of any size in rounds of the default size."""

_FILLED_MAX = 0.75
"""How full the buffer may get before sinks that are behind drop, and our own events wait no more
for what other programs left: it has to take new ones.
"""

_LOOK_SECONDS = 0.01
"""How often to look whether the sinks are done."""


class Transport(Protocol):
    """What the rounds need of a buffer between kernel and user space."""

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


class Outlets(Protocol):
    """What the rounds need of the sinks. None of this waits."""

    @property
    def behind(self) -> bool:
        """Whether something is still to be written."""

    @property
    def finished_below(self) -> int:
        """Every entry below this number has been written or dropped."""

    def write(self, batch: Batch) -> None:
        """Take over a batch."""

    def drop_below(self, number: int, wall_offset_ns: int) -> None:
        """Drop the entries below this number that are not written."""

    def untold(self) -> Untold:
        """What was dropped and not told."""


class Rounds:
    """Drives the pipeline.

    The sinks take each batch over at once. When they have written it, its room is given back to
    the kernel, after ``keep`` was told how far the stream has been handed on.
    """

    def __init__(
        self,
        transport: Transport,
        read_counters: Callable[[], KernelCounters],
        pipeline: Pipeline,
        outlets: Outlets,
        *,
        pace: Pace,
        round_bytes: int,
        after_round: Callable[[], None] = lambda: None,
        handed_on: Callable[[Batch], None] = lambda batch: None,
        keep: Callable[[Progress], None] = lambda progress: None,
        journal: Journal = no_journal,
    ) -> None:
        self.total = 0
        self.duration = Histogram(DURATION_BOUNDS_NS)
        self.latency = Histogram(LATENCY_BOUNDS_NS)
        self.last_ns = clock.boottime_ns()
        """When the last round ended."""
        self.last_event_ns = 0
        """When the newest event that was handed on happened; 0 before the first."""
        self.kept_ns = 0
        """All up to then is written, and that is written down."""
        self.noting = False
        """Write down how far the stream is though no room can be given back."""
        self._transport = transport
        self._read_counters = read_counters
        self._pipeline = pipeline
        self._outlets = outlets
        self._leaving: deque[Leaving] = deque()
        self._kept_with_untold: Progress | None = None
        self._pace = pace
        self._round_bytes = round_bytes
        self._after_round = after_round
        self._handed_on = handed_on
        self._keep = keep
        self._journal = journal
        self._ready = asyncio.Event()
        self.entries_total = 0
        """Entries that left the pipeline; the next one's sequence number."""

    def go_on_from(self, position: Progress) -> None:
        """A process before us came so far; the sinks have what it had not written. When they have
        written that, it is written down.
        """
        self._leaving.append(Leaving(0, 0, position))

    async def run(self) -> None:
        """Rounds for ever, until cancelled."""
        found = behind = False
        while True:
            if behind:
                await asyncio.sleep(0)
            else:
                await self._something_to_do(found=found)
                await asyncio.sleep(self._pace.delay_seconds)
            delivery = self._round()
            found = bool(delivery.spans)
            behind = found and not delivery.drained

    def set_pace(self, pace: Pace, round_bytes: int) -> None:
        """From the next round on."""
        self._pace, self._round_bytes = pace, round_bytes

    def wake(self) -> None:
        """Do a round though the kernel has nothing new."""
        self._ready.set()

    def hand_on(self, entries: Sequence[Entry], wall_offset_ns: int) -> None:
        """Number entries and give them to the sinks, in pieces."""
        for start in range(0, len(entries), _BATCH_ENTRIES):
            some = list(entries[start : start + _BATCH_ENTRIES])
            batch = Batch(some, self.entries_total, wall_offset_ns)
            self.entries_total += len(some)
            self._outlets.write(batch)
            self._handed_on(batch)
        events = events_of(entries)
        if not events:
            return
        now_ns = clock.boottime_ns()
        self.latency.add_ages(list(map(_boottime_ns, events)), now_ns)
        oldest = events[0]
        what = oldest.tgid, oldest.start_boottime_ns
        self.latency.note(Example(now_ns - oldest.boottime_ns, what, now_ns + wall_offset_ns))
        self.last_event_ns = events[-1].boottime_ns

    async def finish(self) -> None:
        """The last rounds, when nothing new is coming: take all there is, hold nothing back."""
        for _ in range(_LAST_ROUNDS_MAX):
            if self._round().drained:
                break
        wall_offset_ns = clock.wall_offset_ns()
        self._journal(Flush(wall_offset_ns))
        self.hand_on(self._pipeline.flush(), wall_offset_ns)
        self._leave()
        while self._outlets.behind:
            await asyncio.sleep(_LOOK_SECONDS)
            self._commit()

    async def _something_to_do(self, *, found: bool) -> None:
        """Wait until there is a reason for a round: the last has ``found`` something is one where
        the fd does not tell of everything.
        """
        again = found and self._transport.poll_seconds is not None
        if again or self._leaving or self._pipeline.waiting(self._read_counters()):
            return
        since_seconds = time.monotonic()
        await self._readable()
        self._pace.rested(time.monotonic() - since_seconds)

    async def _readable(self) -> None:
        """Wait for the kernel's notification, or find that it left something without one."""
        loop = asyncio.get_running_loop()
        poll_seconds = self._transport.poll_seconds
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            if self._transport.unread_bytes:
                self._ready.set()
            elif poll_seconds is not None:
                timer = loop.call_later(poll_seconds, look)

        fd = self._transport.fileno()
        loop.add_reader(fd, self._ready.set)
        look()
        try:
            await self._ready.wait()
        finally:
            self._ready.clear()
            loop.remove_reader(fd)
            if timer is not None:
                timer.cancel()

    def _round(self) -> Delivery:
        start_ns = clock.boottime_ns()
        before = self._read_counters()
        filled = self._transport.filled
        delivery = self._transport.drain(self._round_bytes)
        self._pace.after(len(delivery.spans), filled)
        if filled > _FILLED_MAX:
            self._pipeline.overlap.own_waits = False
        after = self._read_counters()
        wall_offset_ns = clock.wall_offset_ns()
        self._journal(Round(start_ns, wall_offset_ns, before, delivery, after))
        entries = self._pipeline.push(start_ns, before, delivery, after)
        self.hand_on(entries, wall_offset_ns)
        self._leave()
        while self._leaving and self._transport.filled > _FILLED_MAX:
            self._outlets.drop_below(self._leaving[0].end, wall_offset_ns)
            self._commit()
        self.total += 1
        self.last_ns = clock.boottime_ns()
        self.duration.add_ages([start_ns], self.last_ns)
        self._after_round()
        return delivery

    def _leave(self) -> None:
        """Note what the pipeline is done with; what it holds would be drained by a successor."""
        drains = self._pipeline.finished_drains()
        if drains or (self.noting and not self._pipeline.losses_wait):
            progress = self._pipeline.progress(clock.boottime_ns())
            self._leaving.append(Leaving(self.entries_total, drains, progress))
            self._leaving = bounded(self._leaving)
        self._commit()

    def _commit(self) -> None:
        """Give back the room of what the sinks are done with."""
        finished_below = self._outlets.finished_below
        while self._leaving and self._leaving[0].end <= finished_below:
            left = self._leaving.popleft()
            self._keep_progress(left.progress)
            self._transport.commit(left.drains)
        if self._kept_with_untold is not None:
            self._keep_progress(self._kept_with_untold)

    def _keep_progress(self, progress: Progress) -> None:
        """Write down how far the stream is, before the kernel may write over it."""
        self.kept_ns = progress.watermark_ns
        untold = self._outlets.untold()
        if not untold.spans:
            self._kept_with_untold = None
            self._keep(progress)
        else:
            self._kept_with_untold = progress
            self._keep(replace(progress, untold=untold.rows(len(progress.next_seq))))
