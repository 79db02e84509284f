"""agentd.core.tree.watched_exits"""

from __future__ import annotations

import pytest

import agentd.core.tree.watched_exits
from agentd.core.tree.process import Key
from agentd.core.tree.watched_exits import WatchedExits


def _ticks(key: Key) -> Key:
    return key[0], key[1] // 10


def test_who_exits_during_a_scan() -> None:
    """By the start that /proc shows; not before it began, nor after it was compared."""
    exits = WatchedExits(_ticks)
    exits.note((1, 11))
    exits.begin()
    exits.note((2, 25))
    assert [exits.has((1, 10)), exits.has((2, 20)), exits.has((2, 30))] == [False, True, False]
    exits.end()
    assert not exits.has((2, 20))
    assert exits.overflows_total == 0


def test_more_than_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is bounded, and that another scan is due is known when this one is over."""
    monkeypatch.setattr(agentd.core.tree.watched_exits, "_NOTED_MAX", 100)
    exits = WatchedExits(_ticks)
    exits.begin()
    for tgid in range(1, 300):
        exits.note((tgid, 10))
    assert sum(exits.has((tgid, 10)) for tgid in range(1, 300)) == 100
    exits.end()
    assert exits.overflows_total == 1
