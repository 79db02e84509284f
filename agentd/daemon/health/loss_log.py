"""Losses in the daemon's own log: at once, then summed up, never a line for each."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from agentd.core.pipeline import Pipeline
from agentd.core.wire.events import NO_CPU
from agentd.host import clock

EVERY_SECONDS = 10.0


def _name(cpu: int) -> str:
    return "unknown" if cpu == NO_CPU else str(cpu)


def _sentence(new: Counter[int], within_seconds: float) -> str:
    """As "2,394 events lost on cpu 1 in 1.2 s"."""
    count, (first, *rest) = new.total(), sorted(new)
    events = f"{count:,} events" if count > 1 else "1 event"
    where = f"{len(new)} cpus" if rest else "an unknown cpu" if first == NO_CPU else f"cpu {first}"
    return f"{events} lost on {where} in {within_seconds} s"


class LossWarnings:
    """Looks after each round."""

    def __init__(self, pipeline: Pipeline, log: Any) -> None:
        self._pipeline = pipeline
        self._log = log
        self._told: Counter[int] = Counter()
        self._since_ns = clock.boottime_ns()
        self._resting: asyncio.TimerHandle | None = None

    def after_round(self) -> None:
        """Tell of new losses, unless that was done a moment ago."""
        if self._resting is None and self._pipeline.lost_total != self._told.total():
            self._tell()

    def _tell(self) -> None:
        lost, now_ns = Counter(self._pipeline.lost_by_cpu), clock.boottime_ns()
        new = lost - self._told
        seconds = (now_ns - self._since_ns) / 1e9
        if new:
            within_seconds = round(min(seconds, EVERY_SECONDS), 1)
            self._log.warning(
                "events lost",
                message=_sentence(new, within_seconds),
                count=new.total(),
                cpus={_name(cpu): count for cpu, count in sorted(new.items())},
                within_seconds=within_seconds,
            )
        self._told, self._since_ns = lost, now_ns
        self._resting = asyncio.get_running_loop().call_later(EVERY_SECONDS, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._since_ns = clock.boottime_ns() - int(EVERY_SECONDS * 1e9)
        self.after_round()
