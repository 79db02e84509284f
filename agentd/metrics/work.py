"""What exited processes have done, by unit and by executable: those that do most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from agentd.core.work import Work
from agentd.metrics.family import labelled
from agentd.metrics.snapshot import Snapshot

_Series = Sequence[tuple[Sequence[str], Work]]


def units(now: Snapshot) -> Iterator[Metric]:
    """By systemd unit, and the slice that it is in."""
    return _families("", ("unit", "slice"), now.units.series(), now.page_bytes)


def executables(now: Snapshot) -> Iterator[Metric]:
    """By the file that they ran."""
    return _families("executable_", ("executable",), now.executables.series(), now.page_bytes)


def capacity(now: Snapshot) -> Metric:
    """The bounds."""
    family = GaugeMetricFamily(
        "agentd_work_capacity", "How many have series of their own at most.", labels=["by"]
    )
    named = (("unit", now.units.capacity), ("executable", now.executables.capacity))
    return labelled(family, named)


def _families(
    prefix: str, labels: Sequence[str], series: _Series, page_bytes: int
) -> Iterator[Metric]:
    def fill(
        family: CounterMetricFamily | GaugeMetricFamily, value: Callable[[Work], float]
    ) -> Metric:
        for name, work in series:
            family.add_metric(name, value(work))
        return family

    def counter(what: str, text: str, value: Callable[[Work], float]) -> Metric:
        return fill(CounterMetricFamily(f"agentd_{prefix}{what}", text, labels=labels), value)

    if not series:
        return
    by = labels[0]
    yield counter("exec", f"Execs by {by}.", lambda work: work.execs)
    yield counter("exited_processes", f"Processes that exited, by {by}.", lambda work: work.exits)
    yield counter(
        "exited_cpu_seconds",
        f"CPU time of processes that exited, by {by}; sampled, true in the sum.",
        lambda work: work.cpu_ns / 1e9,
    )
    yield fill(
        GaugeMetricFamily(
            f"agentd_{prefix}exited_peak_rss_bytes",
            f"Highest resident memory of any process that exited, by {by}.",
            labels=labels,
        ),
        lambda work: work.max_rss_pages * page_bytes,
    )
