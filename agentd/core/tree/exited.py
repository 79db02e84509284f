"""Processes that have exited: how long they stay, and why they go.

First they are remembered in an LRU, which bounds their number and their age. One that leaves it
and has created somebody who is still in the tree stays as an ancestor, until the last of these
has gone. Ancestors of those that live stay in any case; others until there are too many.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from agentd.core.tree.generations import AGE, CAPACITY, Exited
from agentd.core.tree.process import Image, Key, Process, Unknown


class Evictions:
    """Why a process was dropped from the tree."""

    LIVE_CAPACITY: Final = "live_capacity"
    EXITED_CAPACITY: Final = "exited_capacity"
    EXITED_AGE: Final = "exited_age"
    ANCESTOR_CAPACITY: Final = "ancestor_capacity"
    ANCESTOR_NEEDLESS: Final = "ancestor_needless"
    """All that it created have gone, too."""
    ALL: Final = (LIVE_CAPACITY, EXITED_CAPACITY, EXITED_AGE, ANCESTOR_CAPACITY, ANCESTOR_NEEDLESS)


_REASONS = {CAPACITY: Evictions.EXITED_CAPACITY, AGE: Evictions.EXITED_AGE}


_NOTHING: Final = Image(b"", b"", b"", 0)
"""What a process runs that is not in the tree: its text is not counted."""
_GONE_NS = 2_000_000_000
"""How long the bare keys of those that were dropped are kept at least, twice as long at most: what
is not there after a second is awaited no more (``order.watermark``), so no fork comes later."""
_TGID_BITS: Final = 22
"""PID_MAX_LIMIT, include/linux/threads.h"""
_ASKED_SELDOM: Final = 8
"""A fork that comes late, or in the very nanosecond of an exit, asks for such a key. As long as few
do, all keys are gone through; a set of 50,000 would be four MiB that Python gives back late."""
_64_BITS: Final = (1 << 64) - 1
_ANCESTORS_MIN = 64
"""So many more may come before it is looked which of them are needed, and by whom."""


class Departed:
    """Exited processes by key, at most ``capacity``; ancestors of exited ones, likewise.

    ``living`` gives those that live, of whom there are at most ``live_capacity``; so many of their
    ancestors stay, the nearest first.
    """

    def __init__(
        self,
        capacity: int,
        age_ns: int,
        ancestor_capacity: int,
        living: Callable[[], Iterable[Process]],
        live_capacity: int,
    ) -> None:
        self.evictions = dict.fromkeys(Evictions.ALL, 0)
        """Processes dropped from the whole tree, by reason."""
        self._recent: Exited[Key, Process] = Exited(capacity, age_ns, self._dropped)
        self._ancestors: dict[Key, Process] = {}
        self._ancestor_capacity = max(ancestor_capacity, _ANCESTORS_MIN)
        self._ancestors_max = self._ancestor_capacity
        self._living = living
        self._live_capacity = live_capacity
        self._gone = _Gone()
        self.walks_total = 0
        """How often it was looked who needs which ancestor."""

    @property
    def recent(self) -> int:
        """How many are remembered for themselves."""
        return len(self._recent)

    @property
    def ancestors(self) -> int:
        """How many are kept only for those that they created."""
        return len(self._ancestors)

    def get(self, key: Key) -> Process | None:
        """The process, if it is remembered."""
        return self._recent.get(key) or self._ancestors.get(key)

    def has_exited(self, key: Key) -> bool:
        """Whether that process has exited, and not long before what is applied now."""
        return self.get(key) is not None or self._gone.has(key)

    def values(self) -> list[Process]:
        """All of them."""
        return [*self._recent.values(), *self._ancestors.values()]

    def youngest_first(self) -> list[Process]:
        """All of them, those that exited last at the beginning."""
        found = [*self._ancestors.values(), *self._recent.values()]
        found.reverse()
        return found

    def remember(self, process: Process, now_ns: int) -> None:
        """One that has just exited."""
        process.exited_ns = now_ns
        self._recent.remember(process.key, process, now_ns)

    def expire(self, now_ns: int) -> None:
        """Let go of what exited too long ago."""
        self._recent.expire(now_ns)
        self._gone.expire(now_ns)

    def evict(self, process: Process, reason: str) -> None:
        """Drop a process from the tree, and the ancestors that stayed only for it."""
        self.evictions[reason] += 1
        process.past, process.image = None, _NOTHING  # a session that it led may name it still
        creator, process.creator = process.creator, None
        while creator is not None:
            process.gap = Unknown.EVICTED
            creator.children -= 1
            if creator.children or self._ancestors.pop(creator.key, None) is None:
                return
            self.evictions[Evictions.ANCESTOR_NEEDLESS] += 1
            process = creator
            process.past, process.image = None, _NOTHING
            creator, process.creator = process.creator, None

    def _dropped(self, reason: str, processes: Mapping[Key, Process]) -> None:
        """From the remembered to the ancestors, or away."""
        self._gone.add(processes)
        for process in processes.values():
            if process.children:
                self._ancestors[process.key] = process
            else:
                self.evict(process, _REASONS[reason])
        if len(self._ancestors) > self._ancestors_max:
            self._drop_ancestors()

    def _drop_ancestors(self) -> None:
        """Let go of the oldest that nobody needs who lives, down to half as many as there may be:
        each of the others has paid for a part of the way through all that live.
        """
        needed = self._needed()
        spare = [process for key, process in self._ancestors.items() if key not in needed]
        self._ancestors_max = len(self._ancestors) - len(spare) + self._ancestor_capacity
        self.walks_total += 1
        keep = self._ancestor_capacity // 2
        for process in spare[: max(0, len(spare) - keep)]:
            if self._ancestors.pop(process.key, None) is not None:
                self.evict(process, Evictions.ANCESTOR_CAPACITY)

    def _needed(self) -> set[Key]:
        """Exited ancestors of those that live, the nearest first, up to the bound."""
        needed: set[Key] = set()
        level = list(self._living())
        while level and len(needed) < self._live_capacity:
            above = []
            for process in level:
                creator = process.creator
                if creator is not None and creator.exited_ns and creator.key not in needed:
                    needed.add(creator.key)
                    above.append(creator)
            level = above
        return needed


class _Gone:
    """The bare keys of those that were dropped lately, 8 bytes each."""

    def __init__(self) -> None:
        self._young = array("Q")
        self._old = array("Q")
        self._young_since_ns = 0
        self._all: set[int] | None = None
        self._asked = 0

    def add(self, keys: Iterable[Key]) -> None:
        """These have been dropped."""
        self._young.extend([_number_of(key) for key in keys])
        self._all = None

    def has(self, key: Key) -> bool:
        """Whether it is one of them."""
        number = _number_of(key)
        if self._all is None:
            self._asked += 1
            if self._asked <= _ASKED_SELDOM:
                return number in self._young or number in self._old
            self._all = {*self._young, *self._old}
        return number in self._all

    def expire(self, now_ns: int) -> None:
        """Let go of the older ones, now and then."""
        if now_ns - self._young_since_ns > _GONE_NS:
            self._old, self._young = self._young, array("Q")
            self._young_since_ns = now_ns
            self._all = None
            self._asked = 0


def _number_of(key: Key) -> int:
    """A key in 8 bytes: at 12,000 exits a second there are 50,000 of them. Two of one pid that are
    the same there began a multiple of 73 minutes from each other, to the nanosecond.
    """
    tgid, start_ns = key
    return (start_ns << _TGID_BITS | tgid) & _64_BITS
