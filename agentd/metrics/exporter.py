"""What Prometheus sees: a collector that reads plain ints at scrape time.

Nothing is recorded per event. No label carries a pid; names of units and executables do not go
beyond a bound, so the number of series does not, either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import prometheus_client
from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from agentd.metrics import pipeline, running, sinks, work
from agentd.metrics.snapshot import Snapshot


class AgentdCollector(Collector):
    """Turns snapshots into metric families."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All families; but for units and executables, with all the series they will ever have."""
        now = self._snapshot()
        yield from pipeline.events(now)
        yield from pipeline.losses(now)
        yield from pipeline.reorder(now)
        yield from pipeline.tree(now)
        yield from pipeline.reconciling(now)
        yield from running.rounds(now)
        yield from running.transport(now)
        yield from running.programs(now)
        yield from running.memory(now)
        yield from running.patterns(now)
        yield from sinks.sinks(now)
        yield from running.audit(now)
        yield from running.helpers(now)
        yield from sinks.canary(now)
        yield running.build_info()
        yield from work.units(now)
        yield from work.executables(now)
        yield work.capacity(now)


def make_registry(snapshot: Callable[[], Snapshot]) -> CollectorRegistry:
    """A registry with agentd's metrics and the usual ones of a process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentdCollector(snapshot))
    prometheus_client.ProcessCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=registry)
    prometheus_client.GCCollector(registry=registry)
    return registry


def make_app(snapshot: Callable[[], Snapshot]) -> Any:
    """The ASGI application that answers a scrape, in whichever format it asks for."""
    return prometheus_client.make_asgi_app(make_registry(snapshot))
