"""The bounded memory of what has gone: an LRU of generations.

Items are remembered by the hundred: each generation is a plain dictionary, and the least recently
used generation goes as a whole when a new one begins. So remembering costs a dictionary's store
and not the upkeep of an LRU, which at thousands of exits a second was a tenth of agentd's time.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_GENERATIONS = 16


class _Generations(LRUCache[int, dict[K, V]]):
    """Generations by number; counts what goes with those that it drops."""

    evicted = 0

    def popitem(self) -> tuple[int, dict[K, V]]:
        number, generation = super().popitem()
        self.evicted += len(generation)
        return number, generation

    def peek(self, number: int) -> dict[K, V]:
        """A generation, without that being a use of it."""
        generation: dict[K, V] = Cache.__getitem__(self, number)
        return generation


class Exited(Generic[K, V]):
    """At most ``capacity`` items by key. A hit keeps the whole generation of the item longer."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._generation_size = max(1, capacity // _GENERATIONS)
        self._generations: _Generations[K, V] = _Generations(
            max(1, capacity // self._generation_size)
        )
        self._young: dict[K, V] = {}
        self._number = 0
        self._generations[0] = self._young

    def __len__(self) -> int:
        return sum(len(self._generations.peek(number)) for number in self._generations)

    @property
    def evicted(self) -> int:
        """Items that were dropped for room."""
        return self._generations.evicted

    def remember(self, key: K, item: V) -> None:
        """Keep an item, for as long as there is room."""
        if not self.capacity:
            return
        if len(self._young) >= self._generation_size:
            self._number += 1
            self._young = self._generations[self._number] = {}
        self._young[key] = item

    def get(self, key: K) -> V | None:
        """The item, if it is remembered."""
        for number in reversed(list(self._generations)):
            item = self._generations.peek(number).get(key)
            if item is not None:
                return self._generations[number][key]  # which makes it used
        return None
