"""Time for work whose length somebody else chooses, as a token bucket.

Texts come from whoever starts a process, and the patterns that are searched in them may take any
time. All these searches together get a share of the time, and what was not used is saved, up to a
bound. So no batch is held up for longer than the bound and one search that overruns its limit.
"""

from __future__ import annotations

from typing import Final

SHARE_PERCENT: Final = 20
"""Of the time, for all searches."""
SAVED_MAX_NS: Final = 50_000_000
"""What is saved for a burst; 250 ms without a search fill it."""


class Allowance:
    """One bucket. The caller has the clock, which never steps back, in ns."""

    def __init__(self, now_ns: int) -> None:
        self._left_ns = SAVED_MAX_NS
        self._filled_ns = now_ns

    def left_ns(self, now_ns: int) -> int:
        """How much may be spent now; below 0 after a search that overran its limit."""
        passed_ns = now_ns - self._filled_ns
        self._filled_ns = now_ns
        self._left_ns = min(SAVED_MAX_NS, self._left_ns + passed_ns * SHARE_PERCENT // 100)
        return self._left_ns

    def pay(self, spent_ns: int) -> None:
        """Take out what a search took."""
        self._left_ns -= spent_ns
