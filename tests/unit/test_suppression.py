"""agentd.suppression"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentd.suppression import dropped_in, is_unlimited, own_unit


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
    """An interval or a burst of 0 lifts journald's limit; any other, or none, does not."""
    assert not is_unlimited("a.service", tmp_path)
    interval = tmp_path / "log-rate-limit-interval:a.service"
    interval.symlink_to("30000000")
    assert not is_unlimited("a.service", tmp_path)
    interval.unlink()
    interval.symlink_to("0")
    assert is_unlimited("a.service", tmp_path)
    assert not is_unlimited("b.service", tmp_path)
