"""Processes that have exited: how long they stay, and why they go.

First they are remembered in an LRU, which bounds their number and their age. One that leaves it
and has created somebody who is still in the tree stays as an ancestor, until the last of these
has gone, or there are too many ancestors.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from agentd.core.exited import AGE, CAPACITY, Exited
from agentd.core.process import Key, Process, Unknown


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


class Departed:
    """Exited processes by key, at most ``capacity`` and as many ``ancestor_capacity``."""

    def __init__(self, capacity: int, age_ns: int, ancestor_capacity: int) -> None:
        self.evictions = dict.fromkeys(Evictions.ALL, 0)
        """Processes dropped from the whole tree, by reason."""
        self._recent: Exited[Key, Process] = Exited(capacity, age_ns, self._dropped)
        self._ancestors: dict[Key, Process] = {}
        self._ancestor_capacity = ancestor_capacity

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

    def values(self) -> list[Process]:
        """All of them."""
        return [*self._recent.values(), *self._ancestors.values()]

    def remember(self, process: Process, now_ns: int) -> None:
        """One that has just exited."""
        process.exited_ns = now_ns
        self._recent.remember(process.key, process, now_ns)

    def expire(self, now_ns: int) -> None:
        """Let go of what exited too long ago."""
        self._recent.expire(now_ns)

    def evict(self, process: Process, reason: str) -> None:
        """Drop a process from the tree, and the ancestors that stayed only for it."""
        self.evictions[reason] += 1
        creator, process.creator = process.creator, None
        while creator is not None:
            process.gap = Unknown.EVICTED
            creator.children -= 1
            if creator.children or self._ancestors.pop(creator.key, None) is None:
                return
            self.evictions[Evictions.ANCESTOR_NEEDLESS] += 1
            process = creator
            creator, process.creator = process.creator, None

    def _dropped(self, reason: str, processes: Collection[Process]) -> None:
        """From the remembered to the ancestors, or away."""
        for process in processes:
            if not process.children:
                self.evict(process, _REASONS[reason])
                continue
            if len(self._ancestors) >= self._ancestor_capacity:
                oldest = next(iter(self._ancestors), None)
                dropped = process if oldest is None else self._ancestors.pop(oldest)
                self.evict(dropped, Evictions.ANCESTOR_CAPACITY)
                if oldest is None:
                    continue
            self._ancestors[process.key] = process
