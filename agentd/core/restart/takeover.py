"""The change from one set of programs to another while both run.

Up to a moment, the cut, the old ones' account holds, and behind it the new ones'. Both stamp an
event for themselves, the old ones first, a few microseconds apart: an event on the cut may be
told by both, and is then recognised by what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.core.wire.events import Event, Lost

_APART_NS = 100_000
"""Further apart, two stamps are not of one event: a process that execs twice takes longer."""

_Name = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What programs that ours take over from left unread, up to the cut."""

    cut_ns: int = 0
    events: Sequence[Event] = ()
    losses: Sequence[Lost] = ()
    untold: Sequence[Lost] = ()
    """What an output had dropped and not told (``core.undelivered``)."""
    checkpoint_damaged: bool = False
    """Whether it could not be read how far they had come."""


class Overlap:
    """Leaves out of our programs' events what was told by those before them."""

    def __init__(self, inheritance: Inheritance | None = None) -> None:
        inheritance = inheritance or Inheritance()
        self.accounted = -len(inheritance.events)
        """What our programs attempted and the others told, less what only the others did."""
        self._cut_ns = inheritance.cut_ns
        self._told = {
            _name(event): event.boottime_ns
            for event in inheritance.events
            if event.boottime_ns > self._cut_ns - _APART_NS
        }
        self._over = not inheritance.cut_ns
        ends_ns = [lost.boottime_ns for lost in inheritance.losses]
        self.theirs_until_ns = max([self._cut_ns, *ends_ns])
        """Behind this nothing is left of what the others left."""
        self.own_waits = not self._over
        """Nothing of ours may leave yet. Whoever is killed before the programs are ours for good
        must not have told what the next process is going to tell under other numbers.
        """

    def may_leave_ns(self, safe_ns: int) -> int:
        """Up to where events may leave of a stream that is complete up to ``safe_ns``."""
        return min(safe_ns, self.theirs_until_ns) if self.own_waits else safe_ns

    def without(self, events: list[Event]) -> list[Event]:
        """Those that are not told yet."""
        if self._over or not events:
            return events
        new = [event for event in events if event.boottime_ns > self._cut_ns]
        self._over = len(new) == len(events) and min(new)[0] > self._cut_ns + _APART_NS
        new = [event for event in new if not self._is_told(event)]
        self.accounted += len(events) - len(new)
        return new

    def _is_told(self, event: Event) -> bool:
        told_ns = self._told.get(_name(event))
        return told_ns is not None and event.boottime_ns - told_ns < _APART_NS


def _name(event: Event) -> _Name:
    return event.kind, event.cpu, event.tgid, event.start_boottime_ns
