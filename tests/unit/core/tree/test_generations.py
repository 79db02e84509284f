"""agentd.core.tree.generations"""

from __future__ import annotations

from collections.abc import Mapping

from agentd.core.tree.generations import AGE, CAPACITY, Exited


class _Filled:
    """A memory in which as many items were put, one every ns; and what it dropped, and why."""

    def __init__(self, capacity: int, count: int, age_ns: int = 1 << 60) -> None:
        self.dropped: list[str] = []
        self.reasons: set[str] = set()
        self.exited: Exited[int, str] = Exited(capacity, age_ns, self._drop)
        for key in range(count):
            self.exited.remember(key, str(key), key)

    def _drop(self, reason: str, items: Mapping[int, str]) -> None:
        self.reasons.add(reason)
        self.dropped += items.values()

    def kept(self, *keys: int) -> list[str | None]:
        return [self.exited.get(key) for key in keys]


def test_what_was_remembered_is_found() -> None:
    """Items are found by key in any generation, others are not."""
    assert _Filled(64, 64).kept(0, 31, 63, 64) == ["0", "31", "63", None]


def test_the_oldest_go_first_and_are_told() -> None:
    """Beyond its capacity it drops whole generations, oldest first, and tells their items."""
    filled = _Filled(64, 65)
    assert (len(filled.exited), filled.dropped) == (61, ["0", "1", "2", "3"])
    assert filled.reasons == {CAPACITY}
    assert filled.kept(3, 4) == [None, "4"]


def test_a_use_keeps_a_generation() -> None:
    """A generation whose item was asked for outlives younger ones."""
    filled = _Filled(64, 64)
    filled.exited.get(0)
    filled.exited.remember(100, "new", 100)
    assert filled.kept(0, 4) == ["0", None]


def test_a_capacity_of_one_keeps_the_last() -> None:
    """The smallest memory holds the newest item."""
    filled = _Filled(1, 3)
    assert (filled.kept(2), filled.dropped) == (["2"], ["0", "1"])


def test_no_capacity_remembers_nothing() -> None:
    """Without room everything is dropped at once."""
    filled = _Filled(0, 3)
    assert (len(filled.exited), filled.dropped) == (0, ["0", "1", "2"])


def test_items_leave_by_age() -> None:
    """What came before the age's horizon goes, also out of a generation that is not full."""
    filled = _Filled(1600, 10, age_ns=160)
    filled.exited.expire(20)
    filled.exited.remember(20, "20", 20)
    filled.exited.expire(169)
    assert filled.dropped == []
    filled.exited.expire(170)
    assert (filled.dropped, filled.reasons) == ([str(key) for key in range(10)], {AGE})
    assert filled.kept(20) == ["20"]


def test_a_use_does_not_make_younger() -> None:
    """What was asked for leaves at its age all the same."""
    filled = _Filled(64, 4, age_ns=100)
    filled.kept(0)
    filled.exited.expire(104)
    assert len(filled.exited) == 0
    filled.exited.remember(9, "9", 105)
    assert filled.kept(9) == ["9"]
