"""A histogram of plain ints, fed a round at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from agentd.core.tree.process import Key


class Example(NamedTuple):
    """One duration: of what, and when it was over (wall clock)."""

    duration_ns: int
    what: Key
    wall_ns: int


class Histogram:
    """Counts of durations by upper bound, in seconds for Prometheus, in ns inside."""

    def __init__(self, bounds_ns: Sequence[int]) -> None:
        self.bounds_ns = tuple(bounds_ns)
        self.counts = [0] * len(self.bounds_ns)
        """Cumulative: durations up to and including each bound."""
        self.count = 0
        self.sum_ns = 0
        self.examples: dict[int, Example] = {}
        """The latest of each bucket, by its place; one above all bounds stands at the end."""

    def add_ages(self, stamps_ns: Sequence[int], now_ns: int) -> None:
        """Add the age of each stamp; the stamps must ascend."""
        total = len(stamps_ns)
        for i, bound_ns in enumerate(self.bounds_ns):
            self.counts[i] += total - bisect_left(stamps_ns, now_ns - bound_ns)
        self.count += total
        self.sum_ns += now_ns * total - sum(stamps_ns)

    def note(self, example: Example) -> None:
        """Keep what one of the durations was about."""
        self.examples[bisect_left(self.bounds_ns, example.duration_ns)] = example

    def quantile_seconds(self, part: float) -> float | None:
        """The bound below which that part of the durations lies; None without any, or above all."""
        return _quantile_seconds(self.bounds_ns, self.counts, self.count, part)


class Lately:
    """What a histogram has counted in the last one to two periods."""

    def __init__(self, histogram: Histogram, period_ns: int) -> None:
        self._histogram = histogram
        self._period_ns = period_ns
        self._began_ns = 0
        self._before = self._middle = _counted(histogram)

    def look(self, now_ns: int) -> None:
        """To be called whenever it may have counted, and before somebody asks."""
        if now_ns - self._began_ns >= self._period_ns:
            self._before, self._middle = self._middle, _counted(self._histogram)
            self._began_ns = now_ns

    def quantile_seconds(self, part: float) -> float | None:
        """As that of the histogram."""
        counts, count = _counted(self._histogram)
        before, count_before = self._before
        since = [now - then for now, then in zip(counts, before, strict=True)]
        return _quantile_seconds(self._histogram.bounds_ns, since, count - count_before, part)


def _counted(histogram: Histogram) -> tuple[list[int], int]:
    return list(histogram.counts), histogram.count


def _quantile_seconds(
    bounds_ns: Sequence[int], counts: Sequence[int], total: int, part: float
) -> float | None:
    for bound_ns, count in zip(bounds_ns, counts, strict=True):
        if total and count >= part * total:
            return bound_ns / 1e9
    return None
