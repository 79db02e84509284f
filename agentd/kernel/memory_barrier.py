"""A memory barrier, for memory that the kernel writes while we read."""

from __future__ import annotations

import threading


class Barrier:
    """Keeps loads before it from mixing with those after it, on any CPU."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def full(self) -> None:
        """Order the loads before this call before those after it.

        Releasing and taking a lock is a store-release and a load-acquire of one word, which even
        weakly ordered CPUs (arm64) do not let other loads cross.
        """
        self._lock.release()
        self._lock.acquire()
