"""What Prometheus sees: families made of plain numbers.

Nothing is recorded per event. No label carries a pid; names of units and executables do not go
beyond a bound, so the number of series does not, either.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import replace

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from agentd.metrics import daemon, front, own, pipeline, sinks, usage
from agentd.metrics.snapshot import Snapshot


class AgentdCollector(Collector):
    """Turns one snapshot into metric families."""

    def __init__(self, snapshot: Snapshot, more: Iterable[Metric] = ()) -> None:
        self._snapshot = snapshot
        self._more = tuple(more)

    def collect(self) -> Iterable[Metric]:
        """All families; but for units and executables, with all the series they will ever have."""
        now = self._snapshot
        yield from pipeline.events(now)
        yield from pipeline.losses(now)
        yield from pipeline.reorder(now)
        yield from pipeline.tree(now)
        yield from pipeline.reconciling(now)
        yield from daemon.rounds(now)
        yield from daemon.transport(now)
        yield from daemon.programs(now)
        yield from daemon.memory(now)
        yield from daemon.patterns(now)
        yield from sinks.sinks(now)
        yield from daemon.audit(now)
        yield from daemon.helpers(now)
        yield from sinks.canary(now)
        yield daemon.build_info()
        yield from usage.units(now)
        yield from usage.executables(now)
        yield usage.capacity(now)
        yield from front.front(now)
        yield from own.process(now)
        yield from own.python(now)
        yield from self._more


class Exposition:
    """One snapshot as text, in each format made once at most. ``more``: other families.

    ``names_processes``: with exemplars, which name a process.
    """

    def __init__(
        self, snapshot: Snapshot, more: Iterable[Metric] = (), *, names_processes: bool = True
    ) -> None:
        snapshot = snapshot if names_processes else replace(snapshot, entity="")
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(AgentdCollector(snapshot, more))
        self._made: dict[tuple[str, bool], bytes] = {}

    def render(self, accept: str, *, compressed: bool = False) -> tuple[str, bytes]:
        """Content type and text, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        key = content_type, compressed
        body = self._made.get(key)
        if body is None:
            body = self.render(accept)[1] if compressed else encode(self._registry)
            body = self._made[key] = gzip.compress(body, mtime=0) if compressed else body
        return content_type, body
