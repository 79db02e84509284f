"""The live processes, one for each pid, up to a bound.

Above the bound one that has long been there and has created nobody is dropped: parents are what the
others need to be understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from agentd.core.tree.process import Key, Process

_LOOKED_AT = 64
"""Processes that may be looked at for each that is dropped."""


class Living:
    """At most ``capacity`` processes. ``tick_ns``: the resolution of start times in /proc.

    ``evicted`` is told of each that was dropped for room.
    """

    def __init__(self, capacity: int, tick_ns: int, evicted: Callable[[Process], None]) -> None:
        self._capacity = capacity
        self._tick_ns = tick_ns
        self._evicted = evicted
        self._by_tgid: dict[int, Process] = {}
        self.at = self._by_tgid.get
        """The process of a pid, if one lives."""
        self._candidates: Iterator[Process] = iter(())
        self.looked_at_total = 0
        """Live processes that were looked at to find one to drop."""

    def __len__(self) -> int:
        return len(self._by_tgid)

    def values(self) -> Iterable[Process]:
        """All of them."""
        return self._by_tgid.values()

    def find(self, key: Key) -> Process | None:
        """The process of that key. One known to the tick only takes it as its exact one."""
        process = self._by_tgid.get(key[0])
        if process is not None and (process.key == key or self._adopt(process, key)):
            return process
        return None

    def ticks(self, key: Key) -> Key:
        """A key as good as /proc has it: pid and start in clock ticks."""
        return key[0], key[1] // self._tick_ns

    def coarse(self, key: Key) -> Key:
        """A key as /proc would have it: its start is a multiple of the tick."""
        return key[0], key[1] // self._tick_ns * self._tick_ns

    def exact(self, key: Key) -> Key:
        """The exact key of a process that is given to the tick, if it lives."""
        process = self._by_tgid.get(key[0])
        same = process is not None and self.ticks(process.key) == self.ticks(key)
        return process.key if same and process is not None else key

    def insert(self, process: Process) -> Process | None:
        """Make it the owner of its pid; who must have exited unseen, given that.

        That is the owner before it, or itself, if the owner began later.
        """
        tgid = process.key[0]
        previous = self._by_tgid.get(tgid)
        if previous is None:
            if len(self._by_tgid) >= self._capacity:
                self._evict()
            self._by_tgid[tgid] = process
            return None
        if self.ticks(previous.key) > self.ticks(process.key):
            return process
        same = self._adopt(previous, process.key)
        del self._by_tgid[tgid]  # the youngest stand last
        self._by_tgid[tgid] = process
        return None if same else previous

    def remove(self, process: Process) -> None:
        """It lives no more."""
        if self._by_tgid.get(process.key[0]) is process:
            del self._by_tgid[process.key[0]]

    def _adopt(self, process: Process, key: Key) -> bool:
        """Give a seeded process its exact start, if that is the one /proc rounded."""
        if not process.coarse or self.ticks(process.key) != self.ticks(key):
            return False
        process.key = key
        process.coarse = False
        return True

    def _evict(self) -> None:
        process = self._dispensable()
        self.remove(process)
        self._evicted(process)

    def _dispensable(self) -> Process:
        """The next that has created nobody who is known, the oldest first.

        Where the next few all have children, the first of them: nobody chooses how many are
        looked at.
        """
        first: Process | None = None
        for _ in range(_LOOKED_AT):
            process = self._next()
            self.looked_at_total += 1
            if not process.children:
                return process
            first = first or process
        assert first is not None
        return first

    def _next(self) -> Process:
        """The live processes in turn."""
        for process in self._candidates:
            if self._by_tgid.get(process.key[0]) is process:
                return process
        self._candidates = iter(list(self._by_tgid.values()))
        return next(self._candidates)
