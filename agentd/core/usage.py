"""What exited processes have done, summed up by name: work that is over before a sampler looks.

CPU time is what the clock's ticks found (``utime_ns`` and ``stime_ns`` of an exit): of one short
process a matter of luck, of many together the truth, where ``runtime_ns`` lacks the last slice
of each.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied
from agentd.core.wire.events import Exec, Exit

Name = TypeVar("Name", bound=Hashable)

OTHER = "other"
"""The name of what has none of its own."""

_CANDIDATES_EACH = 16
"""Names that a ranking watches, for each that it may hold."""
_CLEARLY_MORE = 2
"""How many times as much CPU time a name has to have taken to drive another out."""


@dataclass(slots=True)
class Work:
    """Sums, and the highest peak of resident memory of any of them."""

    execs: int = 0
    exits: int = 0
    cpu_ns: int = 0
    max_rss_pages: int = 0

    def add(self, more: Work) -> None:
        """Of two, the work of both."""
        self.execs += more.execs
        self.exits += more.exits
        self.cpu_ns += more.cpu_ns
        self.max_rss_pages = max(self.max_rss_pages, more.max_rss_pages)

    def count(self, event: Exec | Exit) -> None:
        """One more exec, or one more that exited and all that it did."""
        if isinstance(event, Exit):
            self.exits += 1
            self.cpu_ns += event.utime_ns + event.stime_ns
            self.max_rss_pages = max(self.max_rss_pages, event.max_rss_pages)
        else:
            self.execs += 1


def sum_up(entries: Sequence[Entry]) -> tuple[dict[tuple[bytes, bytes], Work], list[Applied]]:
    """The work that events tell of, by executable, or else name, and the place where it was run.

    And the exits of those that ran nothing since we began, which have no place.
    """
    sums: dict[tuple[bytes, bytes], Work] = {}
    placeless: list[Applied] = []
    for entry in entries:
        if not isinstance(entry, Applied):
            continue
        event, image = entry[0], entry[1]
        if not isinstance(event, Exec) and not isinstance(event, Exit):
            continue
        name, executable, place = image[0], image[1], image[4]
        if not place and isinstance(event, Exit):
            placeless.append(entry)
            continue
        key = (executable or name, place)
        work = sums.get(key)
        if work is None:
            work = sums[key] = Work()
        work.count(event)
    return sums, placeless


class Sums(Generic[Name]):
    """Work by name, of at most ``capacity`` names; the rest is ``other``."""

    def __init__(self, capacity: int, other: Name) -> None:
        self.named: dict[Name, Work] = {}
        self._capacity = capacity
        self._other = other

    def add(self, name: Name, work: Work) -> None:
        """Add to what that name did."""
        known = self.named.get(name)
        if known is None:
            name = name if len(self.named) < self._capacity else self._other
            known = self.named.setdefault(name, Work())
        known.add(work)


class Ranking(Generic[Name]):
    """Work by name since the beginning, for counters: of those that do most, the rest as one.

    A name that takes another's place begins at nothing: what it did before is in ``other``. No
    sum ever falls: that of a name which loses its place ends. What is called like the rest belongs
    to the rest.
    """

    def __init__(self, capacity: int, other: Name) -> None:
        self.capacity = capacity
        self.named: dict[Name, Work] = {}
        self.other = Work()
        self._other = other
        self._recent = self._nothing()

    def add(self, name: Name, work: Work) -> None:
        """Add to what that name did."""
        if name == self._other:
            self.other.add(work)
            return
        known = self.named.get(name)
        if known is None and len(self.named) < self.capacity:
            known = self.named[name] = Work()
        (known or self.other).add(work)
        self._recent.add(name, work)

    def series(self) -> list[tuple[Name, Work]]:
        """Each name once, the rest last; nothing where nothing can have a name."""
        return [*self.named.items(), (self._other, self.other)] if self.capacity else []

    def review(self) -> None:
        """Who did clearly more than one of the named since the last review takes its place."""
        recent, self._recent = self._recent.named, self._nothing()

        def lately(name: Name) -> int:
            return recent[name].cpu_ns if name in recent else 0

        outside = sorted(
            recent.keys() - self.named.keys() - {self._other}, key=lately, reverse=True
        )
        inside = sorted(self.named, key=lately)
        for newcomer, least in zip(outside, inside, strict=False):
            if lately(newcomer) <= _CLEARLY_MORE * lately(least):
                return
            del self.named[least]
            self.named[newcomer] = Work()

    def _nothing(self) -> Sums[Name]:
        return Sums(self.capacity * _CANDIDATES_EACH, self._other)
