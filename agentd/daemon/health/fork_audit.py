"""The kernel's own count of forks, held against ours.

``processes`` in /proc/stat counts every fork, threads included, in other code than ours: what it
counts and the programs do not see bounds what any bug of theirs could hide.
"""

from __future__ import annotations

from collections.abc import Callable

_TRIES = 5


class ForkAudit:
    """Compares growth since its making. ``seen``: our forks, failed ones and threads included."""

    def __init__(self, seen: Callable[[], int], kernel: Callable[[], int]) -> None:
        self._seen = seen
        self._kernel = kernel
        self._base = 0
        low, high = self._difference()
        self._base = (low + high) // 2

    def unaccounted(self) -> int:
        """Forks that the kernel counted and we did not, or the other way round (negative)."""
        low, high = self._difference()
        return 0 if low <= 0 <= high else min(low, high, key=abs)

    def _difference(self) -> tuple[int, int]:
        """Bounds of the difference; they differ by the forks that happened while reading."""
        low, high = 0, 0
        for _ in range(_TRIES):
            before = self._seen()
            kernel = self._kernel()
            after = self._seen()
            low, high = kernel - after - self._base, kernel - before - self._base
            if low == high:
                break
        return low, high
