"""How long events gather before a round takes them.

A round that finds little costs nearly as much as one that finds much: the interpreter has to be
brought back into the caches. So what comes after a silence is taken soon, and while more keeps
coming, rounds are further and further apart, up to a stated delay.
"""

from __future__ import annotations

ENOUGH_RECORDS = 1000
"""More than so many cost no less each, and are all in memory at once."""
FULL_FRACTION = 0.25
"""A buffer that was filled further than this wants its next round sooner."""


class Pace:
    """The delay before the next round, between two bounds, in seconds."""

    def __init__(self, shortest_seconds: float, longest_seconds: float) -> None:
        self._shortest = shortest_seconds
        self._longest = max(shortest_seconds, longest_seconds)
        self.delay_seconds = shortest_seconds

    def after(self, records: int, filled: float) -> None:
        """Adapt to a round that took ``records`` out of a buffer filled to that fraction."""
        if filled > FULL_FRACTION or records > ENOUGH_RECORDS:
            self.delay_seconds = max(self._shortest, self.delay_seconds / 2)
        elif records:
            self.delay_seconds = min(self._longest, max(self.delay_seconds * 2, 0.001))

    def rested(self, seconds: float) -> None:
        """Adapt to so long a silence before what comes now."""
        if seconds > self._longest:
            self.delay_seconds = self._shortest
