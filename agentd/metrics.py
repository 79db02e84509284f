"""What Prometheus sees: a collector that reads plain ints at scrape time.

Nothing is recorded per event. The names are defined here and nowhere else; no label carries a
pid, a name or a path, so the number of series never grows.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import prometheus_client
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from agentd import __version__
from agentd.core.accounting import STAGE_DECODE, STAGE_RESTART, KernelCounters
from agentd.core.histogram import Histogram
from agentd.core.pipeline import Pipeline

UNKNOWN_KIND = "unknown"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is exported, at one moment."""

    kind_names: tuple[str, ...]
    pipeline: Pipeline
    kernel: KernelCounters
    rounds: int
    round_duration: Histogram
    latency: Histogram
    transport: str
    ring_used_bytes: int
    ring_size_bytes: int
    lost_samples: int
    reconciliations: int
    canaries_passed: int
    canaries_missed: int
    canary_latency_seconds: float
    forks_unaccounted: int


class AgentdCollector(Collector):
    """Turns snapshots into metric families."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All families, each with all the series it will ever have."""
        now = self._snapshot()
        yield from _events(now)
        yield from _losses(now)
        yield from _reorder(now)
        yield from _tree(now)
        yield from _reconciling(now)
        yield from _rounds(now)
        yield from _transport(now)
        yield from _audit(now)
        yield from _canary(now)
        yield _build_info()


def make_registry(snapshot: Callable[[], Snapshot]) -> CollectorRegistry:
    """A registry with agentd's metrics and the usual ones of a process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AgentdCollector(snapshot))
    prometheus_client.ProcessCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=registry)
    prometheus_client.GCCollector(registry=registry)
    return registry


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[str, float]]
) -> CounterMetricFamily | GaugeMetricFamily:
    for label, value in values:
        family.add_metric([label], value)
    return family


def _events(now: Snapshot) -> Iterator[Metric]:
    names, pipeline = now.kind_names, now.pipeline
    yield _labelled(
        CounterMetricFamily(
            "agentd_events", "Events that went out, lost events not among them.", labels=["kind"]
        ),
        zip(names, pipeline.emitted, strict=True),
    )
    yield _labelled(
        CounterMetricFamily(
            "agentd_kernel_attempts",
            "Events that the kernel tried to report.",
            labels=["kind"],
        ),
        zip(names, map(sum, now.kernel.attempts), strict=True),
    )
    yield _labelled(
        CounterMetricFamily(
            "agentd_kernel_filtered",
            "Events that the filter left out in the kernel.",
            labels=["kind"],
        ),
        zip(names, map(sum, now.kernel.filtered), strict=True),
    )
    yield CounterMetricFamily(
        "agentd_kernel_threads",
        "Threads that were made; they are counted, not reported.",
        value=sum(now.kernel.threads),
    )
    yield CounterMetricFamily(
        "agentd_decode_errors", "Records that were not believed.", value=pipeline.decoder.errors
    )
    yield CounterMetricFamily(
        "agentd_duplicate_exits",
        "Second exits of one process, dropped; only kernels that do not tell the last thread.",
        value=pipeline.tree.duplicate_exits_total,
    )


def _losses(now: Snapshot) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "agentd_lost_events",
        "Events that were missed, by the stage that lost them.",
        labels=["stage", "kind"],
    )
    for cause, failures in zip(now.pipeline.causes, now.kernel.failures, strict=True):
        family.add_metric([cause.stage, now.kind_names[cause.kind]], sum(failures))
    family.add_metric([STAGE_DECODE, UNKNOWN_KIND], now.pipeline.decoder.errors)
    family.add_metric([STAGE_RESTART, UNKNOWN_KIND], now.pipeline.lost_at_restart)
    yield family
    yield GaugeMetricFamily(
        "agentd_accounting_imbalance",
        "Attempts that are neither emitted, filtered, lost nor in flight; 0 unless there is a bug.",
        value=now.pipeline.imbalance,
    )


def _reorder(now: Snapshot) -> Iterator[Metric]:
    queue = now.pipeline.reorderer
    yield GaugeMetricFamily("agentd_reorder_held", "Events held back for order.", value=queue.held)
    yield GaugeMetricFamily(
        "agentd_reorder_capacity", "Events that may be held back at most.", value=queue.capacity
    )
    yield CounterMetricFamily(
        "agentd_reorder_late", "Events that came behind the watermark.", value=queue.late_total
    )
    yield CounterMetricFamily(
        "agentd_reorder_forced",
        "Events let go early because the queue was full.",
        value=queue.forced_total,
    )
    yield _labelled(
        CounterMetricFamily(
            "agentd_reorder_inversions",
            "Events older than the one before them, before (in) and after (out) reordering.",
            labels=["side"],
        ),
        (("in", queue.inversions_in_total), ("out", queue.inversions_out_total)),
    )


def _tree(now: Snapshot) -> Iterator[Metric]:
    tree = now.pipeline.tree
    yield _labelled(
        GaugeMetricFamily("agentd_tree_processes", "Processes in the tree.", labels=["state"]),
        (
            ("live", len(tree.living)),
            ("exited", tree.departed.recent),
            ("ancestor", tree.departed.ancestors),
        ),
    )
    yield _labelled(
        GaugeMetricFamily(
            "agentd_tree_capacity", "Processes that the tree holds at most.", labels=["state"]
        ),
        (
            ("live", tree.limits.live_capacity),
            ("exited", tree.limits.exited_capacity),
            ("ancestor", tree.limits.ancestor_capacity),
        ),
    )
    yield _labelled(
        CounterMetricFamily(
            "agentd_tree_evictions", "Processes dropped from the tree.", labels=["reason"]
        ),
        tree.departed.evictions.items(),
    )
    yield _labelled(
        CounterMetricFamily(
            "agentd_tree_misses", "Events that did not fit the tree.", labels=["reason"]
        ),
        tree.misses.items(),
    )


def _reconciling(now: Snapshot) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "agentd_reconciliations", "Scans of /proc after losses.", value=now.reconciliations
    )
    yield _labelled(
        CounterMetricFamily(
            "agentd_inferred_events",
            "Events that were concluded from such a scan, not seen.",
            labels=["kind"],
        ),
        zip(now.kind_names, now.pipeline.inferred, strict=True),
    )


def _rounds(now: Snapshot) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "agentd_rounds", "Rounds of reading and handing on.", value=now.rounds
    )
    yield _histogram(
        "agentd_round_duration_seconds",
        "Time of one round, from reading the clock to the commit.",
        now.round_duration,
    )
    yield _histogram(
        "agentd_event_latency_seconds",
        "Time from the kernel's stamp to the event's hand-over to the sinks.",
        now.latency,
    )


def _transport(now: Snapshot) -> Iterator[Metric]:
    info = GaugeMetricFamily(
        "agentd_transport_info", "What carries events out of the kernel.", labels=["kind"]
    )
    info.add_metric([now.transport], 1)
    yield info
    yield _labelled(
        GaugeMetricFamily(
            "agentd_ring_bytes", "The ring buffer, or all perf buffers.", labels=["state"]
        ),
        (("used", now.ring_used_bytes), ("size", now.ring_size_bytes)),
    )
    yield CounterMetricFamily(
        "agentd_transport_lost_samples",
        "What the kernel says it could not write to perf buffers; an exec is tried twice.",
        value=now.lost_samples,
    )


def _audit(now: Snapshot) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "agentd_audit_forks_unaccounted",
        "Forks in /proc/stat since the start that the programs did not see; 0 with a filter.",
        value=now.forks_unaccounted,
    )


def _canary(now: Snapshot) -> Iterator[Metric]:
    yield _labelled(
        CounterMetricFamily(
            "agentd_canaries",
            "Processes of our own, sent to see that all works; only with a watchdog.",
            labels=["result"],
        ),
        (("passed", now.canaries_passed), ("missed", now.canaries_missed)),
    )
    yield GaugeMetricFamily(
        "agentd_canary_latency_seconds",
        "From the last canary's exit until that had been written.",
        value=now.canary_latency_seconds,
    )


def _build_info() -> Metric:
    family = GaugeMetricFamily(
        "agentd_build_info", "What runs, as labels.", labels=["version", "python", "kernel"]
    )
    family.add_metric([__version__, platform.python_version(), platform.release()], 1)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    buckets: list[tuple[str, float]] = [
        (repr(bound_ns / 1e9), count)
        for bound_ns, count in zip(histogram.bounds_ns, histogram.counts, strict=True)
    ]
    buckets.append(("+Inf", histogram.count))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum_ns / 1e9)


def make_app(snapshot: Callable[[], Snapshot]) -> Any:
    """The ASGI application that answers a scrape, in whichever format it asks for."""
    return prometheus_client.make_asgi_app(make_registry(snapshot))
