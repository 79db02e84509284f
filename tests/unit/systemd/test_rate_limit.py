"""agentd.systemd.rate_limit"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from agentd.helpers.client import HelperError
from agentd.helpers.jobs.journal import dropped_in
from agentd.systemd.rate_limit import Suppression, is_unlimited, own_unit
from tests import fake_time
from tests.helpers import FakeHelpers, Log


def test_the_unit_is_the_innermost_service() -> None:
    """A process's unit is read from its cgroup, of either version."""
    assert own_unit(b"0::/system.slice/agentd.service\n") == "agentd.service"
    assert (
        own_unit(b"1:name=systemd:/user.slice/user@0.service/app.slice/a.service\n") == "a.service"
    )
    assert own_unit(b"0::/user.slice/session-1.scope\n") == ""
    assert own_unit(b"0::/\xff.slice/a.service\n") == "a.service"


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


def _looked(*answers: Any) -> tuple[Suppression, FakeHelpers, Log]:
    """After so many looks: a number, None where nobody may look, or a failure."""
    log = Log()
    helpers = FakeHelpers([])

    async def ask(job: str, arguments: Any, seconds: float, take: Any) -> Any:
        helpers.asked.append((job, arguments))
        answer = left.pop(0) if left else asyncio.CancelledError()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    left = list(answers)
    helpers.ask = ask  # type: ignore[method-assign]
    suppression = Suppression("a.service", helpers, log)
    with contextlib.suppress(asyncio.CancelledError):
        fake_time.run(suppression.run())
    return suppression, helpers, log


def test_a_journal_that_cannot_be_read_ends_nothing() -> None:
    """It is looked at again, from the same moment on, and what was dropped meanwhile counts."""
    suppression, helpers, log = _looked(HelperError("I/O error"), HelperError("again"), 7, 0)
    assert suppression.is_limited
    assert suppression.total == 7
    assert [event for event, _ in log.warnings] == ["journald drops entries"]
    since = [arguments[1] for _, arguments in helpers.asked]
    assert since[0] == since[1] == since[2] < since[3] < since[4]


def test_who_may_not_read_it_says_that_a_limit_holds() -> None:
    """Then nothing is counted, and it is known that something may be missing."""
    suppression, helpers, log = _looked(None)
    assert suppression.is_limited
    assert [event for event, _ in log.warnings] == ["journald may drop entries unseen"]
    assert len(helpers.asked) == 1
    assert not Suppression("", helpers, log).is_limited


@pytest.mark.parametrize("nonsense", [-1, True, "7", 1.5, (7,)])
def test_what_is_no_number_counts_nothing(nonsense: Any) -> None:
    """A helper may say anything."""
    suppression, _, _ = _looked(nonsense, nonsense)
    assert suppression.total == 0
