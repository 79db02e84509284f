"""How the daemon itself does: rounds, buffer, sinks, canaries."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from agentd import __version__
from agentd.metrics.family import histogram, labelled
from agentd.metrics.snapshot import Snapshot


def rounds(now: Snapshot) -> Iterator[Metric]:
    """The rounds, and how long events take."""
    yield CounterMetricFamily(
        "agentd_rounds", "Rounds of reading and handing on.", value=now.rounds
    )
    yield CounterMetricFamily(
        "agentd_wakeups", "Times that the daemon slept and was woken.", value=now.wakeups
    )
    yield GaugeMetricFamily(
        "agentd_last_event_timestamp_seconds",
        "When the newest event that went out happened; 0 before the first.",
        value=now.last_event_timestamp_seconds,
    )
    yield histogram(
        "agentd_round_duration_seconds",
        "Time of one round, from reading the clock to the commit.",
        now.round_duration,
    )
    yield histogram(
        "agentd_event_latency_seconds",
        "Time from the kernel's stamp to the event's hand-over to the sinks.",
        now.latency,
        now.entity,
    )


def transport(now: Snapshot) -> Iterator[Metric]:
    """The buffer between kernel and agentd."""
    info = GaugeMetricFamily(
        "agentd_transport_info", "What carries events out of the kernel.", labels=["kind"]
    )
    info.add_metric([now.transport], 1)
    yield info
    yield labelled(
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


def programs(now: Snapshot) -> Iterator[Metric]:
    """What the programs in the kernel cost; nothing moves unless the kernel counts it."""
    yield labelled(
        CounterMetricFamily(
            "agentd_program_runs",
            "Runs of a program in the kernel, while kernel.bpf_stats_enabled is 1.",
            labels=["tracepoint"],
        ),
        ((program.tracepoint, program.runs) for program in now.programs),
    )
    yield labelled(
        CounterMetricFamily(
            "agentd_program_seconds",
            "Time that a program took in the kernel, while kernel.bpf_stats_enabled is 1.",
            labels=["tracepoint"],
        ),
        ((program.tracepoint, program.run_ns / 1e9) for program in now.programs),
    )


_SINK_COUNTERS = {
    "written": ("events", "Events that a sink has written."),
    "dropped": ("dropped_events", "Events that a sink dropped because its reader was too slow."),
    "unwanted": ("unwanted_events", "Events that a filter, or a choice of actions, kept away."),
    "merged": ("merged_events", "Events that left in the line of another (output.aggregate)."),
    "bytes_written": ("bytes", "Bytes that a sink has written."),
}

_SINK_GAUGES = {
    "queued": ("queued_events", "Events that wait."),
    "queued_bytes": ("queued_bytes", "What waits, in bytes."),
    "capacity_bytes": ("capacity_bytes", "How many bytes may wait."),
}


def sinks(now: Snapshot) -> Iterator[Metric]:
    """What became of events at each sink."""
    for attribute, (name, text) in _SINK_COUNTERS.items():
        yield labelled(
            CounterMetricFamily(f"agentd_sink_{name}", text, labels=["sink"]),
            ((sink.name, getattr(sink, attribute)) for sink in now.sinks),
        )
    for attribute, (name, text) in _SINK_GAUGES.items():
        yield labelled(
            GaugeMetricFamily(f"agentd_sink_{name}", text, labels=["sink"]),
            ((sink.name, getattr(sink, attribute)) for sink in now.sinks),
        )
    yield labelled(
        GaugeMetricFamily(
            "agentd_sink_failing", "1 while a sink cannot be written.", labels=["sink"]
        ),
        ((sink.name, float(bool(sink.failure))) for sink in now.sinks),
    )
    yield CounterMetricFamily(
        "agentd_journal_suppressed_entries",
        "Entries of this service that journald says its rate limit has thrown away.",
        value=now.journal_suppressed,
    )
    yield CounterMetricFamily(
        "agentd_log_dropped_lines",
        "Lines of agentd's own log that nobody took.",
        value=now.log_lines_dropped,
    )


def audit(now: Snapshot) -> Iterator[Metric]:
    """Forks that the programs did not see."""
    yield GaugeMetricFamily(
        "agentd_audit_forks_unaccounted",
        "Forks in /proc/stat since the start that the programs did not see; 0 with a filter.",
        value=now.forks_unaccounted,
    )


def canary(now: Snapshot) -> Iterator[Metric]:
    """Processes of our own."""
    yield labelled(
        CounterMetricFamily(
            "agentd_canaries",
            "Processes of our own, sent to see that all works; only with a watchdog.",
            labels=["result"],
        ),
        (("passed", now.canaries_passed), ("missed", now.canaries_missed)),
    )
    yield GaugeMetricFamily(
        "agentd_canary_latency_seconds",
        "From the last canary's exit until that had been handed to the sinks.",
        value=now.canary_latency_seconds,
    )


def build_info() -> Metric:
    """What runs."""
    family = GaugeMetricFamily(
        "agentd_build_info", "What runs, as labels.", labels=["version", "python", "kernel"]
    )
    family.add_metric([__version__, platform.python_version(), platform.release()], 1)
    return family
