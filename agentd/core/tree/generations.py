"""The bounded memory of what has gone: an LRU of generations.

Items are remembered by the hundred: each generation is a plain dictionary, and the least recently
used generation goes as a whole when a new one begins. So remembering costs a dictionary's store
and not the upkeep of an LRU, which at thousands of exits a second was a tenth of agentd's time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeAlias, TypeVar

from cachetools import Cache, LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_GENERATIONS = 16

CAPACITY = "capacity"
AGE = "age"
Dropped: TypeAlias = Callable[[str, Mapping[K, V]], None]
"""Is told the reason, CAPACITY or AGE, and the items that are dropped."""


class _Generation(dict[K, V]):
    """Items, and between which moments they came."""

    oldest_ns = 0
    newest_ns = 0


class _Generations(LRUCache[int, _Generation[K, V]]):
    """Generations by number; tells what goes with those that it drops."""

    def __init__(self, maxsize: int, dropped: Dropped[K, V]) -> None:
        super().__init__(maxsize)
        self._dropped = dropped

    def popitem(self) -> tuple[int, _Generation[K, V]]:
        number, generation = super().popitem()
        self._dropped(CAPACITY, generation)
        return number, generation

    def peek(self, number: int) -> _Generation[K, V]:
        """A generation, without that being a use of it."""
        generation: _Generation[K, V] = Cache.__getitem__(self, number)
        return generation


class Exited(Generic[K, V]):
    """At most ``capacity`` items by key, for at most ``age_ns``, a sixteenth more or less.

    A hit keeps the whole generation of the item longer, but not beyond its age.
    """

    def __init__(self, capacity: int, age_ns: int, dropped: Dropped[K, V]) -> None:
        self.capacity = capacity
        self._age_ns = age_ns
        self._dropped = dropped
        self._generation_size = max(1, capacity // _GENERATIONS)
        self._generations: _Generations[K, V] = _Generations(
            max(1, capacity // self._generation_size), dropped
        )
        self._young: _Generation[K, V] = _Generation()
        self._number = 0
        self._generations[0] = self._young

    def __len__(self) -> int:
        return sum(len(self._generations.peek(number)) for number in self._generations)

    def remember(self, key: K, item: V, now_ns: int) -> None:
        """Keep an item, for as long as there is room."""
        if not self.capacity:
            self._dropped(CAPACITY, {key: item})
            return
        young = self._young
        if len(young) >= self._generation_size:
            young = self._begin()
        if not young:
            young.oldest_ns = now_ns
        young.newest_ns = now_ns
        young[key] = item

    def get(self, key: K) -> V | None:
        """The item, if it is remembered."""
        for number in reversed(list(self._generations)):
            item = self._generations.peek(number).get(key)
            if item is not None:
                return self._generations[number][key]  # which makes it used
        return None

    def values(self) -> list[V]:
        """All items."""
        peek = self._generations.peek
        return [item for number in self._generations for item in peek(number).values()]

    def expire(self, now_ns: int) -> None:
        """Drop what has been here for too long."""
        if self._young and self._young.oldest_ns < now_ns - self._age_ns // _GENERATIONS:
            self._begin()
        for number in list(self._generations):
            generation = self._generations.peek(number)
            if generation and generation.newest_ns < now_ns - self._age_ns:
                del self._generations[number]
                self._dropped(AGE, generation)

    def _begin(self) -> _Generation[K, V]:
        """A new generation."""
        self._number += 1
        self._young = self._generations[self._number] = _Generation()
        return self._young
