"""agentd.daemon.health.loss_log"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from agentd.core.pipeline import Pipeline
from agentd.core.wire.events import NO_CPU
from agentd.daemon.health import loss_log
from agentd.daemon.health.loss_log import LossWarnings
from tests.records import CPUS, WIRE, limits


class FakeLog:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def warning(self, event: str, **fields: Any) -> None:
        """A line."""
        self.told.append({"event": event, **fields})


def _lose(pipeline: Pipeline, cpu: int, count: int) -> None:
    pipeline.waiting_losses.total += count
    pipeline.waiting_losses.by_cpu[cpu] += count


def test_losses_are_told_at_once_and_then_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line comes with the first loss, the next when the time is over, with all of it."""
    monkeypatch.setattr(loss_log, "EVERY_SECONDS", 0.05)
    pipeline, log = Pipeline(WIRE, CPUS, limits(), 10_000_000), FakeLog()

    async def main() -> None:
        warnings = LossWarnings(pipeline, log)
        warnings.after_round()
        _lose(pipeline, 1, 3)
        warnings.after_round()
        for cpu in (1, 2, 2):
            _lose(pipeline, cpu, 10)
            warnings.after_round()
        assert len(log.told) == 1
        await asyncio.sleep(0.2)

    asyncio.run(main())
    assert [(line["count"], line["cpus"]) for line in log.told] == [
        (3, {"1": 3}),
        (30, {"1": 10, "2": 20}),
    ]
    assert {line["event"] for line in log.told} == {"events lost"}
    first, second = (line["message"] for line in log.told)
    assert first.startswith("3 events lost on cpu 1 in ")
    assert second.startswith("30 events lost on 2 cpus in ")


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        ({1: 2394}, "2,394 events lost on cpu 1 in 1.2 s"),
        ({NO_CPU: 1}, "1 event lost on an unknown cpu in 1.2 s"),
        ({0: 1, 3: 1}, "2 events lost on 2 cpus in 1.2 s"),
    ],
)
def test_the_line_is_a_sentence(new: dict[int, int], sentence: str) -> None:
    """How many, where, and in which time."""
    assert loss_log._sentence(Counter(new), 1.2) == sentence
