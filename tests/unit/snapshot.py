"""What the metrics show of an agentd that has just begun."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentd.core.histogram import Histogram
from agentd.core.pipeline import Limits, Pipeline
from agentd.metrics import Snapshot
from tests.records import CPUS, WIRE, counters


def snapshot(**changed: Any) -> Snapshot:
    """A fresh snapshot, but for what is given."""
    fresh = Snapshot(
        kind_names=("fork", "exec", "exit"),
        pipeline=Pipeline(WIRE, CPUS, Limits(10, 0, 20, 30), 10_000_000),
        kernel=counters({}),
        rounds=0,
        round_duration=Histogram((1000, 2000)),
        latency=Histogram((1000, 2000)),
        ring_used_bytes=0,
        ring_size_bytes=4096,
        forks_unaccounted=0,
    )
    return replace(fresh, **changed)
