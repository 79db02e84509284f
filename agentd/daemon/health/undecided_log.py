"""Searches that ran out of time, in the daemon's own log: a line a minute at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentd.host import clock

EVERY_NS = 60_000_000_000


class UndecidedWarnings:
    """Looks after each round. ``totals``: by the key of the pattern."""

    def __init__(
        self,
        totals: Mapping[str, int],
        log: Any,
        now_ns: Callable[[], int] = clock.boottime_ns,
    ) -> None:
        self.totals = totals
        self._log = log
        self._now_ns = now_ns
        self._logged: dict[str, int] = {}
        self._logged_ns = 0
        """When the last line was written; 0 before the first."""

    def after_round(self) -> None:
        """Write a line if there is news, and the last is old enough."""
        new = {
            where: total - self._logged.get(where, 0)
            for where, total in self.totals.items()
            if total > self._logged.get(where, 0)
        }
        if not new or (self._logged_ns and self._now_ns() - self._logged_ns < EVERY_NS):
            return
        self._log.warning(
            "patterns ran out of time",
            message="Events could not be searched in time. Filters let them pass, flagged;"
            " redaction replaced what it had not searched.",
            counts=new,
        )
        self._logged, self._logged_ns = dict(self.totals), self._now_ns()
