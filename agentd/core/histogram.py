"""A histogram of plain ints, fed a round at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from agentd.core.process import Key


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
        for bound_ns, count in zip(self.bounds_ns, self.counts, strict=True):
            if self.count and count >= part * self.count:
                return bound_ns / 1e9
        return None
