"""Events of all CPUs back in time order: a bounded priority queue, one round at a time.

Keyed by (boottime_ns, cpu, seq). Each round pushes what the transport delivered together with
its watermark: every event stamped at or before it has been delivered. What lies at or before the
watermark is released; the rest is held for the next round. So order costs one round of delay.

* An event that arrives behind the watermark is ``late``: counted, flagged, released all the same.
* When more than ``capacity`` would be held, or too many bytes of records, the oldest leave early:
  ``forced``, counted, flagged.

What comes in order, as most of it does, need not be sorted; and a nearly sorted list sorts in
linear time (timsort), far cheaper than a heap's push and pop for each event. The list is the queue.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Final

from agentd.core.wire.events import BOOTTIME_NS, RECORD_BYTES, Event, by_order

_boottime_ns = itemgetter(BOOTTIME_NS)

_HELD_BYTES_MAX = 32 << 20
"""Of records that are held: an exec has arguments of up to 16 KiB."""
_ROOMY: Final = 3 / 4
"""Of these, half of that is left when it was too much: they are not counted again soon."""


class Reorderer:
    """The queue. ``late_flag`` and ``forced_flag`` are or-ed into the events they concern."""

    def __init__(self, capacity: int, late_flag: int, forced_flag: int) -> None:
        self.capacity = capacity
        self.late_total = 0
        self.forced_total = 0
        self.inversions_in_total = 0
        self.inversions_out_total = 0
        self.watermark_ns = 0
        """Everything at or before it has been released; never goes back."""
        self.held_bytes = 0
        """Of their records, at most."""
        self._held: list[Event] = []
        self._late_flag = late_flag
        self._forced_flag = forced_flag
        self._last_in_ns = 0
        self._last_out_ns = 0

    @property
    def held(self) -> int:
        """Events that wait for the watermark."""
        return len(self._held)

    def resume(self, watermark_ns: int) -> None:
        """Begin where another queue stopped: what is older comes too late."""
        self.watermark_ns = self._last_out_ns = watermark_ns

    def held_seq(self) -> dict[int, int]:
        """The lowest attempt number that is held back, by CPU."""
        lowest: dict[int, int] = {}
        for event in self._held:
            lowest[event.cpu] = min(event.seq, lowest.get(event.cpu, event.seq))
        return lowest

    def push(self, events: list[Event], watermark_ns: int, size_bytes: int = 0) -> list[Event]:
        """Take one round's events and give, in order, all that nothing can precede any more.

        ``size_bytes``: of their records, at most.
        """
        if events:
            self._take(events)
        self.watermark_ns = max(self.watermark_ns, watermark_ns)
        count = bisect_right(self._held, self.watermark_ns, key=_boottime_ns)
        forced = max(0, len(self._held) - count - self.capacity)
        self.held_bytes += size_bytes
        if count == len(self._held):
            self.held_bytes = 0
        elif self.held_bytes > _HELD_BYTES_MAX:
            forced = max(forced, self._too_large(count))
        released = self._held[: count + forced]
        del self._held[: count + forced]
        if forced:
            self.forced_total += forced
            released[count:] = [
                event._replace(flags=event.flags | self._forced_flag) for event in released[count:]
            ]
        return self._out(released)

    def _too_large(self, count: int) -> int:
        """How many behind the first ``count`` must leave, so that the rest is not too large."""
        self.held_bytes = sum(event[RECORD_BYTES] for event in self._held[count:])
        forced = 0
        if self.held_bytes > _HELD_BYTES_MAX * _ROOMY:
            while self.held_bytes > _HELD_BYTES_MAX * _ROOMY / 2:
                self.held_bytes -= self._held[count + forced][RECORD_BYTES]
                forced += 1
        return forced

    def flush(self) -> list[Event]:
        """Give all that is held, for the end of the stream."""
        released, self._held = self._held, []
        self.held_bytes = 0
        return self._out(released)

    def _floor_ns(self) -> int:
        """What is older than this comes too late to be put in its place."""
        return max(self.watermark_ns + 1, self._last_out_ns)

    def _flag_if_late(self, event: Event) -> Event:
        if event.boottime_ns >= self._floor_ns():
            return event
        self.late_total += 1
        return event._replace(flags=event.flags | self._late_flag)

    def _take(self, events: list[Event]) -> None:
        """Flag what is late, and put the rest where it belongs."""
        ascends = self._count_disorder(events)
        if not ascends or events[0][BOOTTIME_NS] < self._floor_ns():
            events = [self._flag_if_late(event) for event in events]
        ascends = ascends and (
            not self._held or self._held[-1][BOOTTIME_NS] < events[0][BOOTTIME_NS]
        )
        self._held += events
        if not ascends:
            self._held.sort(key=by_order)

    def _count_disorder(self, events: list[Event]) -> bool:
        """Count the inversions of what comes in; gives whether there is no need to sort it."""
        inversions, ascends = _disorder(events, self._last_in_ns)
        self.inversions_in_total += inversions
        self._last_in_ns = events[-1][BOOTTIME_NS]
        return ascends

    def _out(self, released: list[Event]) -> list[Event]:
        if released:
            self.inversions_out_total += _disorder(released, self._last_out_ns)[0]
            self._last_out_ns = max(self._last_out_ns, released[-1][BOOTTIME_NS])
        return released


class Unordered(Reorderer):
    """No queue, to see what one is good for: events leave as they come."""

    def __init__(self) -> None:
        super().__init__(capacity=0, late_flag=0, forced_flag=0)

    def push(self, events: list[Event], watermark_ns: int, size_bytes: int = 0) -> list[Event]:
        """Count the disorder, and let all go."""
        if events:
            self._count_disorder(events)
        self.watermark_ns = max(self.watermark_ns, watermark_ns)
        return self._out(events)


def _disorder(events: list[Event], before_ns: int) -> tuple[int, bool]:
    """How many are older than the one before them, and whether each is younger than that."""
    older = equal = 0
    for event in events:
        ns = event[BOOTTIME_NS]
        if ns <= before_ns:
            older += ns < before_ns
            equal += ns == before_ns
        before_ns = ns
    return older, not older and not equal
