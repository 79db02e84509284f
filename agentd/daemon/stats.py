"""How a daemon is doing: for Prometheus, for health checks, for the service manager and the log."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from agentd import __version__
from agentd.core.histogram import Lately
from agentd.core.tree.process import entity_prefix
from agentd.core.usage import Work
from agentd.core.wire.events import kind_names
from agentd.daemon.capture import Capture
from agentd.daemon.health.canary import Canary
from agentd.daemon.health.fork_audit import ForkAudit
from agentd.daemon.health.undecided_log import UndecidedWarnings
from agentd.daemon.loop import Rounds
from agentd.daemon.reconciler import Reconciler
from agentd.daemon.restart.recovery import CONSEQUENCE
from agentd.helpers.client import Helpers
from agentd.host import clock, program_counts, system
from agentd.kernel.loader_client import Attached
from agentd.log.queue import LogQueue
from agentd.metrics.own_process import memory_bytes, own_process
from agentd.metrics.snapshot import Beside, SinkCounts, Snapshot, Times, WorkOf
from agentd.metrics.usage_tracker import Rankings
from agentd.paths import core_form
from agentd.sinks.fanout import Fanout
from agentd.systemd.rate_limit import Suppression

TREE_STATES = ("live", "exited", "ancestor")
STALLED_AFTER_NS = 5_000_000_000
_LATELY_NS = 60_000_000_000
_LOSING_NS = 600_000_000_000
"""How long it shows that something was lost."""


class Health(NamedTuple):
    """Whether all is well, and why not."""

    good: bool
    reason: str


def log_attached(log: Any, attached: Attached, capture: Capture, cgroup: str) -> None:
    """What has been loaded, and how."""
    if attached.log:
        log.debug("the loader said", text=attached.log)
    if capture.checkpoint_damaged:
        log.error("checkpoint damaged", consequence=CONSEQUENCE)
    handover = attached.handover
    log.info(
        "attached",
        bcc=handover.bcc_version,
        offsets="btf" if handover.from_btf else "kernel headers",
        transport=handover.transport,
        transport_reason=handover.transport_reason,
        buffer_bytes=capture.transport.size_bytes,
        cpus=attached.settings.cpus,
        first_seq=attached.settings.first_seq,
        cgroup=cgroup or None,
    )


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
        helpers: Helpers,
        log_lines: LogQueue,
        undecided: UndecidedWarnings,
        rankings: Rankings,
        filtered: bool,
    ) -> None:
        self._started_ns = clock.boottime_ns()
        self._capture = capture
        self._rounds = rounds
        self._reconciler = reconciler
        self._canary = canary
        self._sinks = sinks
        self._suppression = suppression
        self._helpers = helpers
        self._log_lines = log_lines
        self._undecided = undecided
        self._rankings = rankings
        self._audit = (
            None if filtered else ForkAudit(capture.forks_seen, program_counts.forks_total)
        )
        self._kind_names = kind_names(capture.wire)
        self._latency = Lately(rounds.latency, _LATELY_NS)

    def after_round(self) -> None:
        """Let what was long ago be forgotten, and warn of what is new."""
        self._undecided.after_round()
        self._latency.look(self._rounds.last_ns)

    def numbers(self, beside: Beside) -> dict[str, Any]:
        """All that the front shows, at one moment; msgpack takes it."""
        health = self.health()
        return {
            "metrics": self.snapshot(beside).plain(),
            "status": self.answer(),
            "healthy": (health.good, health.reason),
        }

    def snapshot(self, beside: Beside) -> Snapshot:
        """All that is exported."""
        transport, counters = self._capture.transport, self._capture.counters.read()
        pipeline, rankings = self._capture.pipeline, self._rankings
        tree, queue, departed = pipeline.tree, pipeline.reorderer, pipeline.tree.departed
        limits = tree.limits
        held = (len(tree.living), departed.recent, departed.ancestors)
        bounds = (limits.live_capacity, limits.exited_capacity, limits.ancestor_capacity)
        return Snapshot(
            kind_names=self._kind_names,
            emitted=tuple(pipeline.emitted),
            attempts=tuple(map(sum, counters.attempts)),
            filtered=tuple(map(sum, counters.filtered)),
            inferred=tuple(pipeline.inferred),
            threads=sum(counters.threads),
            decode_errors=pipeline.decoder.errors,
            duplicate_exits=tree.duplicate_exits_total,
            carried=pipeline.carried,
            losses=self._capture.losses(counters, self._kind_names),
            imbalance=pipeline.imbalance,
            held=queue.held,
            held_capacity=queue.capacity,
            late=queue.late_total,
            forced=queue.forced_total,
            inversions_in=queue.inversions_in_total,
            inversions_out=queue.inversions_out_total,
            tree=dict(zip(TREE_STATES, held, strict=True)),
            tree_capacity=dict(zip(TREE_STATES, bounds, strict=True)),
            evictions=dict(departed.evictions),
            text_bytes=tree.images.used_bytes,
            text_bytes_max=limits.text_bytes,
            forgotten=dict(tree.images.forgotten),
            misses=dict(tree.misses),
            units=_rows(rankings.units.series()),
            units_capacity=rankings.units.capacity,
            executables=_rows(rankings.executables.series()),
            executables_capacity=rankings.executables.capacity,
            ring_used_bytes=transport.used_bytes,
            ring_size_bytes=transport.size_bytes,
            beside=beside,
            **self._running(),
        )

    def _running(self) -> dict[str, Any]:
        """How the daemon itself does."""
        rounds, canary = self._rounds, self._canary
        return {
            "entity": entity_prefix(system.boot_id()),
            "page_bytes": system.PAGE_BYTES,
            "programs": self._capture.program_costs(),
            "wakeups": resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw,
            "python_blocks": sys.getallocatedblocks(),
            "last_event_timestamp_seconds": self._last_event_seconds(),
            "rounds": rounds.total,
            "round_duration": Times.of(rounds.duration),
            "latency": Times.of(rounds.latency),
            "transport": self._capture.transport_kind,
            "lost_samples": self._capture.transport.lost_samples,
            "reconciliations": self._reconciler.total,
            "canaries_passed": canary.passed_total,
            "canaries_missed": canary.missed_total,
            "canary_latency_seconds": canary.latency_seconds,
            "sinks": self._sink_counts(),
            "journal_suppressed": self._suppression.total,
            "journal_limited": self._suppression.is_limited,
            "helper_failures": tuple(self._helpers.failures.items()),
            "undecided": dict(self._undecided.totals),
            "log_lines_dropped": self._log_lines.dropped_total,
            "forks_unaccounted": 0 if self._audit is None else self._audit.unaccounted(),
            "own": own_process(self._started_ns),
        }

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

    def answer(self) -> dict[str, Any]:
        """How it is going, for programs: docs/control.md."""
        pipeline, transport = self._capture.pipeline, self._capture.transport
        health = self.health()
        living, departed = pipeline.tree.living, pipeline.tree.departed
        self._latency.look(clock.boottime_ns())
        return {
            "version": __version__,
            "core": core_form(),
            "kernel": os.uname().release,
            "pid": os.getpid(),
            "uptime_seconds": round((clock.boottime_ns() - self._started_ns) / 1e9, 3),
            "healthy": health.good,
            "reason": health.reason,
            "transport": {
                "kind": self._capture.transport_kind,
                "buffer_bytes": transport.size_bytes,
                "used_bytes": transport.used_bytes,
            },
            "events": dict(zip(self._kind_names, pipeline.emitted, strict=True)),
            "inferred": sum(pipeline.inferred),
            **self._losses(),
            "imbalance": pipeline.imbalance,
            "late": pipeline.reorderer.late_total,
            "latency_seconds": {
                "p50": self._latency.quantile_seconds(0.5),
                "p99": self._latency.quantile_seconds(0.99),
            },
            "tree": {
                "live": len(living),
                "live_capacity": pipeline.tree.limits.live_capacity,
                "exited": departed.recent,
                "ancestors": departed.ancestors,
            },
            "sinks": [counts._asdict() for counts in self._sink_counts()],
            "helper_failures": dict(self._helpers.failures),
            "canary_latency_seconds": self._canary.latency_seconds or None,
            "cpu_seconds": round(time.process_time(), 3),
            "resident_bytes": memory_bytes()[1],
        }

    def _losses(self) -> dict[str, Any]:
        """What was lost, where, and how long ago; ``losing``: lately."""
        now_ns, by_stage = clock.boottime_ns(), self._capture.lost_by_stage()
        last = self._capture.pipeline.tree.doubts.gaps.last
        lost_ns = last.boottime_ns if last is not None else 0
        dropped_ns = max((sink.last_dropped_ns for sink in self._sinks.sinks), default=0)
        last_ns = max(lost_ns, dropped_ns)
        return {
            "lost": sum(by_stage.values()),
            "lost_by_stage": by_stage,
            "seconds_since_lost": round((now_ns - lost_ns) / 1e9, 3) if lost_ns else None,
            "losing": bool(last_ns) and now_ns - last_ns < _LOSING_NS,
        }

    def _sink_counts(self) -> tuple[SinkCounts, ...]:
        return tuple(
            SinkCounts(
                sink.name,
                sink.written_total,
                sink.dropped_total,
                sink.unwanted_total,
                sink.merged_total,
                sink.queued,
                sink.bytes_total,
                sink.queued_bytes,
                sink.capacity_bytes,
                sink.encode_failures_total,
                "" if sink.failure is None else sink.failure.message,
            )
            for sink in self._sinks.sinks
        )

    def _last_event_seconds(self) -> float:
        last_ns = self._rounds.last_event_ns
        return (last_ns + clock.wall_offset_ns()) / 1e9 if last_ns else 0.0

    def status(self) -> str:
        """How it is going, for people."""
        pipeline = self._capture.pipeline
        not_written = self._sinks.not_written
        behind = f"; {not_written} not written" if not_written else ""
        behind += "".join(f"; {sink.name} fails" for sink in self._sinks.sinks if sink.failure)
        return (
            f"{len(pipeline.tree.living)} processes; {pipeline.emitted_total} events,"
            f" {self._capture.lost()} lost, over {self._capture.transport_kind}{behind}"
        )

    def health(self) -> Health:
        """Whether what the kernel delivers is taken."""
        idle_ns = clock.boottime_ns() - self._rounds.last_ns
        if self._capture.transport.unread_bytes and idle_ns > STALLED_AFTER_NS:
            return Health(False, f"stalled: no round for {idle_ns / 1e9:.1f} s")
        return Health(True, "ok")


def _rows(series: Sequence[tuple[Sequence[str], Work]]) -> tuple[WorkOf, ...]:
    return tuple(
        WorkOf(tuple(name), work.execs, work.exits, work.cpu_ns, work.max_rss_pages)
        for name, work in series
    )
