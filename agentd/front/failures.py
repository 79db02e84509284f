"""Requests that could not be answered because something in the front failed: counted, and logged.

The connection gets an error and ends; the front goes on. What fails may be what a stranger sent,
so a line is logged at most once a minute.
"""

from __future__ import annotations

import time
from typing import Any

from agentd.core.log_rate import LogRate
from agentd.metrics.family import Metric
from agentd.metrics.front import HTTP_FAILURES


class Failures:
    """How many there were."""

    def __init__(self, log: Any) -> None:
        self.total = 0
        self._log = log
        self._log_rate = LogRate()

    def note(self, failure: Exception) -> None:
        """One more."""
        self.total += 1
        if self._log_rate.is_due(time.monotonic()):
            problem = f"{type(failure).__name__}: {failure}"
            self._log.error("a request failed", problem=problem[:_TEXT_MAX], total=self.total)
            self._log.debug("a request failed like this", exc_info=failure)

    def metrics(self) -> list[Metric]:
        """For Prometheus."""
        return [HTTP_FAILURES.value(self.total)]


_TEXT_MAX = 200
