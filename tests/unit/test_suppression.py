"""agentd.suppression"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentd.suppression import Suppression, dropped_in, is_unlimited, own_unit
from tests import fake_time


def test_the_unit_is_the_innermost_service() -> None:
    """A process's unit is read from its cgroup, of either version."""
    assert own_unit("0::/system.slice/agentd.service\n") == "agentd.service"
    assert (
        own_unit("1:name=systemd:/user.slice/user@0.service/app.slice/a.service\n") == "a.service"
    )
    assert own_unit("0::/user.slice/session-1.scope\n") == ""


def test_entries_of_other_units_do_not_count() -> None:
    """journald tells of each unit in an entry of its own; only ours are added up."""
    entries: list[dict[str, Any]] = [
        {"N_DROPPED": "12", "MESSAGE": "Suppressed 12 messages from agentd.service"},
        {"N_DROPPED": "5", "MESSAGE": "Suppressed 5 messages from other.service"},
        {"N_DROPPED": 3, "MESSAGE": "Suppressed 3 messages from agentd.service"},
    ]
    assert dropped_in(entries, "agentd.service") == 15


def test_a_limit_that_is_lifted_drops_nothing(tmp_path: Path) -> None:
    """An interval too short for the burst, by default 10,000, lifts journald's limit."""
    assert not is_unlimited("a.service", tmp_path)
    interval = tmp_path / "log-rate-limit-interval:a.service"
    burst = tmp_path / "log-rate-limit-burst:a.service"
    for usec, entries, unlimited in [
        ("30000000", None, False), ("1", None, True), ("10000", None, True), ("10001", None, False),
        ("1000", "30", False), ("1", "1", True), ("0", None, True),
    ]:  # fmt: skip
        interval.unlink(missing_ok=True)
        burst.unlink(missing_ok=True)
        interval.symlink_to(usec)
        if entries is not None:
            burst.symlink_to(entries)
        assert is_unlimited("a.service", tmp_path) == unlimited, (usec, entries)
    assert not is_unlimited("b.service", tmp_path)


class FakeLog:
    """Remembers its warnings."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def warning(self, event: str, **fields: Any) -> None:
        """A line."""
        self.told.append(event)


def test_a_journal_that_cannot_be_read_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, looked at again, and what was dropped meanwhile counts then."""
    looks: list[Any] = [OSError(5, "Input/output error")] * 2 + [7, OSError(5, "again"), 0]
    log = FakeLog()

    def look(suppression: Suppression) -> int:
        found = looks.pop(0) if looks else asyncio.CancelledError()
        if isinstance(found, BaseException):
            raise found
        return int(found)

    async def at_once(function: Any) -> Any:
        return function()

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    monkeypatch.setattr(Suppression, "_look", look)
    monkeypatch.setattr("agentd.suppression._can_read_journal", lambda: True)
    suppression = Suppression("a.service", log)
    with pytest.raises(asyncio.CancelledError):
        fake_time.run(suppression.run())
    assert suppression.is_limited
    assert suppression.total == 7
    assert log.told == [
        "the journal cannot be read", "journald drops entries", "the journal cannot be read",
    ]  # fmt: skip


def test_who_may_not_read_it_says_that_a_limit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is counted, and it is known that something may be missing."""
    monkeypatch.setattr("agentd.suppression._can_read_journal", lambda: False)
    log = FakeLog()
    suppression = Suppression("a.service", log)
    fake_time.run(suppression.run())
    assert suppression.is_limited
    assert log.told == ["journald may drop entries unseen"]
    assert not Suppression("", log).is_limited
