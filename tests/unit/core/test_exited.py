"""agentd.core.exited"""

from __future__ import annotations

from agentd.core.exited import Exited


def _filled(capacity: int, count: int) -> Exited[int, str]:
    exited: Exited[int, str] = Exited(capacity)
    for key in range(count):
        exited.remember(key, str(key))
    return exited


def test_what_was_remembered_is_found() -> None:
    """Items are found by key in any generation, others are not."""
    exited = _filled(64, 64)
    assert [exited.get(key) for key in (0, 31, 63, 64)] == ["0", "31", "63", None]


def test_the_oldest_go_first_and_are_counted() -> None:
    """Beyond its capacity it drops whole generations, oldest first, and counts their items."""
    exited = _filled(64, 65)
    assert (len(exited), exited.evicted) == (61, 4)
    assert [exited.get(key) for key in (3, 4)] == [None, "4"]


def test_a_use_keeps_a_generation() -> None:
    """A generation whose item was asked for outlives younger ones."""
    exited = _filled(64, 64)
    exited.get(0)
    exited.remember(100, "new")
    assert [exited.get(key) for key in (0, 4)] == ["0", None]


def test_a_capacity_of_one_keeps_the_last() -> None:
    """The smallest memory holds the newest item."""
    exited = _filled(1, 3)
    assert (len(exited), exited.get(2), exited.evicted) == (1, "2", 2)


def test_no_capacity_remembers_nothing() -> None:
    """Without room nothing is kept, and nothing is counted as dropped."""
    exited = _filled(0, 3)
    assert (len(exited), exited.evicted) == (0, 0)
