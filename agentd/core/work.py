"""What exited processes have done, summed up by name: work that is over before a sampler looks.

CPU time is what the clock's ticks found (``utime_ns`` and ``stime_ns`` of an exit): of one short
process a matter of luck, of many together the truth, where ``runtime_ns`` lacks the last slice
of each.
"""

from __future__ import annotations

from dataclasses import dataclass

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


class Sums:
    """Work by name, of at most ``capacity`` names; the rest is ``OTHER``."""

    def __init__(self, capacity: int) -> None:
        self.named: dict[str, Work] = {}
        self._capacity = capacity

    def add(self, name: str, work: Work) -> None:
        """Add to what that name did."""
        known = self.named.get(name)
        if known is None:
            name = name if len(self.named) < self._capacity else OTHER
            known = self.named.setdefault(name, Work())
        known.add(work)


class Ranking:
    """Work by name since the beginning, for counters: of those that do most, the rest as one.

    A name that takes another's place begins at nothing: what it did before is in ``other``, so
    that no sum ever falls.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.named: dict[str, Work] = {}
        self.other = Work()
        self._recent = Sums(capacity * _CANDIDATES_EACH)

    def add(self, name: str, work: Work) -> None:
        """Add to what that name did."""
        known = self.named.get(name)
        if known is None and len(self.named) < self.capacity:
            known = self.named[name] = Work()
        (known or self.other).add(work)
        self._recent.add(name, work)

    def review(self) -> None:
        """Who did clearly more than one of the named since the last review takes its place."""
        recent, self._recent = self._recent.named, Sums(self.capacity * _CANDIDATES_EACH)

        def lately(name: str) -> int:
            return recent[name].cpu_ns if name in recent else 0

        outside = sorted(recent.keys() - self.named.keys() - {OTHER}, key=lately, reverse=True)
        inside = sorted(self.named, key=lately)
        for newcomer, least in zip(outside, inside, strict=False):
            if lately(newcomer) <= _CLEARLY_MORE * lately(least):
                return
            del self.named[least]
            self.named[newcomer] = Work()
