"""A set of many objects by their identity, which never takes long to grow or to free."""

from __future__ import annotations

from typing import Final

_SETS: Final = 256
_ALIGNED_BITS: Final = 4
"""Objects lie at multiples of 16 bytes."""


class IdSet:
    """Ids in many small sets: one large set is copied as a whole when it grows.

    It does not keep the objects alive: who asks knows that those it asks for are no younger than
    what was added, or were added themselves.
    """

    __slots__ = ("_sets",)

    def __init__(self) -> None:
        self._sets: list[set[int]] = [set() for _ in range(_SETS)]

    def add(self, *items: object) -> None:
        """These, too."""
        for item in items:
            number = id(item)
            self._sets[(number >> _ALIGNED_BITS) % _SETS].add(number)

    def has(self, item: object) -> bool:
        """Whether that very object was added."""
        number = id(item)
        return number in self._sets[(number >> _ALIGNED_BITS) % _SETS]

    def parts(self) -> list[set[int]]:
        """The small sets, to be freed one by one."""
        return self._sets
