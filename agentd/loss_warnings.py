"""Losses in the daemon's own log: at once, then summed up, never a line for each."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from agentd import host
from agentd.core.event import NO_CPU
from agentd.core.pipeline import Pipeline

EVERY_SECONDS = 10.0


def _name(cpu: int) -> str:
    return "unknown" if cpu == NO_CPU else str(cpu)


class LossWarnings:
    """Looks after each round."""

    def __init__(self, pipeline: Pipeline, log: Any) -> None:
        self._pipeline = pipeline
        self._log = log
        self._told: Counter[int] = Counter()
        self._since_ns = host.boottime_ns()
        self._resting: asyncio.TimerHandle | None = None

    def after_round(self) -> None:
        """Tell of new losses, unless that was done a moment ago."""
        if self._resting is None and self._pipeline.lost_total != self._told.total():
            self._tell()

    def _tell(self) -> None:
        lost, now_ns = Counter(self._pipeline.lost_by_cpu), host.boottime_ns()
        new = lost - self._told
        seconds = (now_ns - self._since_ns) / 1e9
        if new:
            self._log.warning(
                "events lost",
                count=new.total(),
                cpus={_name(cpu): count for cpu, count in sorted(new.items())},
                within_seconds=round(min(seconds, EVERY_SECONDS), 1),
            )
        self._told, self._since_ns = lost, now_ns
        self._resting = asyncio.get_running_loop().call_later(EVERY_SECONDS, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._since_ns = host.boottime_ns() - int(EVERY_SECONDS * 1e9)
        self.after_round()
