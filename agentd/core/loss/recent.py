"""Where the account has gaps: the losses of late, for those who ask what happened near one."""

from __future__ import annotations

from collections import deque

from agentd.core.wire.events import Lost

_KEPT = 512


class Gaps:
    """The youngest losses, so many of them, in the order in which they were told."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._losses: deque[Lost] = deque()
        self.known_since_ns = 0
        """Of losses that were over before that, nothing is known any more (CLOCK_BOOTTIME)."""

    def add(self, lost: Lost) -> None:
        """One more; the oldest makes room for it."""
        self._losses.append(lost)
        if len(self._losses) > self._kept:
            forgotten = self._losses.popleft()
            self.known_since_ns = max(self.known_since_ns, forgotten.boottime_ns)

    def within(self, from_ns: int, to_ns: int) -> list[Lost]:
        """Those that were going on at some moment of that time."""
        return [
            lost
            for lost in self._losses
            if lost.from_boottime_ns <= to_ns and lost.boottime_ns >= from_ns
        ]

    @property
    def last(self) -> Lost | None:
        """The youngest, if there was any."""
        return self._losses[-1] if self._losses else None
