"""What exited processes have done, by unit and by executable: those that do most."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from agentd.core.work import OTHER, Ranking, Work
from agentd.metrics.family import labelled
from agentd.metrics.snapshot import Snapshot


def units(now: Snapshot) -> Iterator[Metric]:
    """By systemd unit."""
    return _families("unit", now.units, now.page_bytes)


def executables(now: Snapshot) -> Iterator[Metric]:
    """By the file that they ran."""
    return _families("executable", now.executables, now.page_bytes)


def capacity(now: Snapshot) -> Metric:
    """The bounds."""
    family = GaugeMetricFamily(
        "agentd_work_capacity", "How many have series of their own at most.", labels=["by"]
    )
    named = (("unit", now.units.capacity), ("executable", now.executables.capacity))
    return labelled(family, named)


def _families(by: str, ranking: Ranking, page_bytes: int) -> Iterator[Metric]:
    def counter(what: str, text: str, value: Callable[[Work], float]) -> Metric:
        family = CounterMetricFamily(f"agentd_{by}_{what}", text, labels=[by])
        return labelled(family, ((name, value(work)) for name, work in everything))

    everything = [*ranking.named.items(), (OTHER, ranking.other)]
    if not ranking.capacity:
        return
    yield counter("exec", f"Execs by {by}.", lambda work: work.execs)
    yield counter("exited_processes", f"Processes that exited, by {by}.", lambda work: work.exits)
    yield counter(
        "cpu_seconds",
        f"CPU time of processes that exited, by {by}; sampled, true in the sum.",
        lambda work: work.cpu_ns / 1e9,
    )
    yield labelled(
        GaugeMetricFamily(
            f"agentd_{by}_peak_rss_bytes",
            f"Highest resident memory of any process that exited, by {by}.",
            labels=[by],
        ),
        ((name, work.max_rss_pages * page_bytes) for name, work in everything),
    )
