"""How a daemon is doing: for Prometheus, for health checks, for the service manager and the log."""

from __future__ import annotations

from typing import Any

from agentd import host, procfs
from agentd.audit import ForkAudit
from agentd.canary import Canary
from agentd.capture import Capture
from agentd.core.event import kind_names
from agentd.metrics.snapshot import SinkCounts, Snapshot
from agentd.reconciler import Reconciler
from agentd.rounds import Rounds
from agentd.sinks.fanout import Fanout
from agentd.suppression import Suppression
from agentd.web.server import Health

STALLED_AFTER_NS = 5_000_000_000


class Reporting:
    """Reads what the parts count. ``filtered``: a filter leaves forks out."""

    def __init__(
        self,
        capture: Capture,
        rounds: Rounds,
        *,
        reconciler: Reconciler,
        canary: Canary,
        sinks: Fanout,
        suppression: Suppression,
        filtered: bool,
    ) -> None:
        self._capture = capture
        self._rounds = rounds
        self._reconciler = reconciler
        self._canary = canary
        self._sinks = sinks
        self._suppression = suppression
        self._audit = None if filtered else ForkAudit(capture.forks_seen, procfs.forks_total)
        self._kind_names = kind_names(capture.wire)

    def snapshot(self) -> Snapshot:
        """All that is exported."""
        transport = self._capture.transport
        return Snapshot(
            kind_names=self._kind_names,
            pipeline=self._capture.pipeline,
            kernel=self._capture.counters.read(),
            rounds=self._rounds.total,
            round_duration=self._rounds.duration,
            latency=self._rounds.latency,
            transport=self._capture.transport_kind,
            ring_used_bytes=transport.used_bytes,
            ring_size_bytes=transport.size_bytes,
            lost_samples=transport.lost_samples,
            reconciliations=self._reconciler.total,
            canaries_passed=self._canary.passed_total,
            canaries_missed=self._canary.missed_total,
            canary_latency_seconds=self._canary.latency_seconds,
            sinks=tuple(
                SinkCounts(sink.name, sink.written_total, sink.dropped_total, sink.queued)
                for sink in self._sinks.sinks
            ),
            journal_suppressed=self._suppression.total,
            forks_unaccounted=0 if self._audit is None else self._audit.unaccounted(),
        )

    def account(self) -> dict[str, Any]:
        """What became of everything."""
        pipeline = self._capture.pipeline
        return {
            **dict(zip(self._kind_names, pipeline.emitted, strict=True)),
            "lost": self._capture.lost(),
            "late": pipeline.reorderer.late_total,
            "imbalance": pipeline.imbalance,
            "not_written": self._sinks.not_written,
        }

    def status(self) -> str:
        """How it is going, for people."""
        pipeline = self._capture.pipeline
        not_written = self._sinks.not_written
        behind = f"; {not_written} not written" if not_written else ""
        return (
            f"{len(pipeline.tree.living)} processes; {pipeline.emitted_total} events,"
            f" {self._capture.lost()} lost, over {self._capture.transport_kind}{behind}"
        )

    def health(self) -> Health:
        """Whether what the kernel delivers is taken."""
        idle_ns = host.boottime_ns() - self._rounds.last_ns
        if self._capture.transport.unread_bytes and idle_ns > STALLED_AFTER_NS:
            return Health(False, f"stalled: no round for {idle_ns / 1e9:.1f} s")
        return Health(True, "ok")
