"""agentd.daemon.health.missed_runs"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentd.core.pipeline import Pipeline
from agentd.core.steps import Skipped, Step
from agentd.core.wire.delivery import Delivery
from agentd.core.wire.events import NO_CPU, Lost
from agentd.daemon.health import missed_runs
from agentd.daemon.health.missed_runs import Skipping
from tests.records import CPUS, EXEC, WIRE, counters, limits

NOTHING = Delivery(b"", [], drained=True)


class Programs:
    """Programs of which the kernel leaves runs out."""

    def __init__(self) -> None:
        self.pipeline = Pipeline(WIRE, CPUS, limits(), 10_000_000)
        self.skipped = [0, 0, 0]

    def skipped_runs(self) -> tuple[int, ...]:
        """So far."""
        return tuple(self.skipped)


def _round(pipeline: Pipeline, now_ns: int) -> list[Any]:
    quiet = counters({})
    return list(pipeline.push(now_ns, quiet, NOTHING, quiet))


def test_what_was_left_out_is_lost_and_told() -> None:
    """As a loss without a CPU and a number, at its place, once; and the tree is in doubt."""
    programs, steps = Programs(), list[Step]()
    looker = Skipping(programs, lambda: None, steps.append)
    assert not looker.look()
    programs.skipped[EXEC] = 2
    assert looker.look()
    assert not looker.look()
    (step,) = steps
    assert isinstance(step, Skipped)
    assert step.runs == (0, 2, 0)
    assert programs.pipeline.waiting(counters({}))
    (lost,) = _round(programs.pipeline, step.now_ns + 1)
    assert lost == Lost(step.now_ns, 0, NO_CPU, 2, "skipped", EXEC, step.from_ns)
    assert not programs.pipeline.waiting(counters({}))
    assert programs.pipeline.lost_total == 2
    assert programs.pipeline.imbalance == 0
    assert programs.pipeline.tree.doubts.lost_ns == step.now_ns


def test_a_successor_tells_only_what_is_new() -> None:
    """How much was told goes with the progress of the stream."""
    programs = Programs()
    looker = Skipping(programs, lambda: None, lambda step: None)
    programs.skipped[EXEC] = 2
    looker.look()
    _round(programs.pipeline, 1 << 62)
    successor = Programs()
    successor.pipeline.resume(programs.pipeline.progress(5))
    successor.skipped[EXEC] = 3
    looker = Skipping(successor, lambda: None, lambda step: None)
    assert looker.look()
    assert successor.pipeline.skipped == [0, 3, 0]
    (lost,) = _round(successor.pipeline, 1 << 62)
    assert lost.missing == 1


def test_it_looks_a_while_after_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for any number of rounds, and what it finds makes another."""
    monkeypatch.setattr(missed_runs, "LOOK_SECONDS", 0.01)
    programs = Programs()

    async def rounds() -> int:
        woken = asyncio.Event()
        looker = Skipping(programs, woken.set, lambda step: None)
        programs.skipped[EXEC] = 1
        for _ in range(5):
            looker.after_round()
        async with asyncio.timeout(30):
            await woken.wait()
        return sum(programs.pipeline.skipped)

    assert asyncio.run(rounds()) == 1
