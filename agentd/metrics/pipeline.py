"""What became of events: the chain from the kernel's attempt to the tree."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from agentd.core.stages import STAGE_DECODE, STAGE_RESTART, STAGE_SKIPPED
from agentd.metrics.family import labelled
from agentd.metrics.snapshot import Snapshot

UNKNOWN_KIND = "unknown"


def events(now: Snapshot) -> Iterator[Metric]:
    """Events, and what the kernel attempted."""
    names, pipeline = now.kind_names, now.pipeline
    yield labelled(
        CounterMetricFamily(
            "agentd_events", "Events that went out, lost events not among them.", labels=["kind"]
        ),
        zip(names, pipeline.emitted, strict=True),
    )
    yield labelled(
        CounterMetricFamily(
            "agentd_kernel_attempts",
            "Events that the kernel tried to report.",
            labels=["kind"],
        ),
        zip(names, map(sum, now.kernel.attempts), strict=True),
    )
    yield labelled(
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


def losses(now: Snapshot) -> Iterator[Metric]:
    """What was missed, and whether the account adds up."""
    family = CounterMetricFamily(
        "agentd_lost_events",
        "Events that were missed, by the stage that lost them.",
        labels=["stage", "kind"],
    )
    for cause, failures in zip(now.pipeline.causes, now.kernel.failures, strict=True):
        family.add_metric([cause.stage, now.kind_names[cause.kind]], sum(failures))
    for name, skipped in zip(now.kind_names, now.pipeline.skipped, strict=True):
        family.add_metric([STAGE_SKIPPED, name], skipped)
    family.add_metric([STAGE_DECODE, UNKNOWN_KIND], now.pipeline.decoder.errors)
    family.add_metric([STAGE_RESTART, UNKNOWN_KIND], now.pipeline.lost_at_restart)
    yield family
    yield GaugeMetricFamily(
        "agentd_accounting_imbalance",
        "Attempts that are neither emitted, filtered, lost nor in flight; 0 unless there is a bug.",
        value=now.pipeline.imbalance,
    )


def reorder(now: Snapshot) -> Iterator[Metric]:
    """The queue that keeps the order."""
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
    yield labelled(
        CounterMetricFamily(
            "agentd_reorder_inversions",
            "Events older than the one before them, before (in) and after (out) reordering.",
            labels=["side"],
        ),
        (("in", queue.inversions_in_total), ("out", queue.inversions_out_total)),
    )


def tree(now: Snapshot) -> Iterator[Metric]:
    """The process tree."""
    tree = now.pipeline.tree
    yield labelled(
        GaugeMetricFamily("agentd_tree_processes", "Processes in the tree.", labels=["state"]),
        (
            ("live", len(tree.living)),
            ("exited", tree.departed.recent),
            ("ancestor", tree.departed.ancestors),
        ),
    )
    yield labelled(
        GaugeMetricFamily(
            "agentd_tree_capacity", "Processes that the tree holds at most.", labels=["state"]
        ),
        (
            ("live", tree.limits.live_capacity),
            ("exited", tree.limits.exited_capacity),
            ("ancestor", tree.limits.ancestor_capacity),
        ),
    )
    yield labelled(
        CounterMetricFamily(
            "agentd_tree_evictions", "Processes dropped from the tree.", labels=["reason"]
        ),
        tree.departed.evictions.items(),
    )
    yield labelled(
        CounterMetricFamily(
            "agentd_tree_misses", "Events that did not fit the tree.", labels=["reason"]
        ),
        tree.misses.items(),
    )


def reconciling(now: Snapshot) -> Iterator[Metric]:
    """Comparisons with /proc after losses."""
    yield CounterMetricFamily(
        "agentd_reconciliations", "Scans of /proc after losses.", value=now.reconciliations
    )
    yield labelled(
        CounterMetricFamily(
            "agentd_inferred_events",
            "Events that were concluded from such a scan, not seen.",
            labels=["kind"],
        ),
        zip(now.kind_names, now.pipeline.inferred, strict=True),
    )
