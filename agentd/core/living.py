"""The live processes, one for each pid, up to a bound.

Above the bound the one that is longest there and has created nobody is dropped: parents are what
the others need to be understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from agentd.core.process import Key, Process


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
        process = self._childless() or next(iter(self._by_tgid.values()))
        self.remove(process)
        self._evicted(process)

    def _childless(self) -> Process | None:
        """The next that lives and has created nobody who is known, the oldest first."""
        for turn in range(2):
            if turn:
                self._candidates = iter(list(self._by_tgid.values()))
            for process in self._candidates:
                if not process.children and self._by_tgid.get(process.key[0]) is process:
                    return process
        return None
