"""What became of events at each sink, and of the processes of our own that go all the way."""

from __future__ import annotations

from collections.abc import Iterator

from agentd.metrics.family import COUNTER, GAUGE, Family, Metric
from agentd.metrics.snapshot import Snapshot

WRITTEN = Family(
    COUNTER,
    "agentd_sink_events",
    "Events that a sink has written.",
    ("sink",),
    more="`stdout` or `journal`",
)
DROPPED = Family(
    COUNTER,
    "agentd_sink_dropped_events",
    "Events that a sink dropped, for its reader was too slow or it could not be written.",
    ("sink",),
    more="They are in `agentd_events_total`: order, tree and the other sinks had them. The sink"
    " tells them as `lost` lines with stage `sink`",
    todo="make the reader faster, or raise `transport.ring_bytes`: three quarters of it are the"
    " sinks' queue",
)
UNWANTED = Family(
    COUNTER,
    "agentd_sink_unwanted_events",
    "Events that a filter, or a choice of actions, kept away.",
    ("sink",),
    more="`output.filter`, `journal.filter`, `journal.actions`",
)
MERGED = Family(
    COUNTER,
    "agentd_sink_merged_events",
    "Events that left in the line of another (output.aggregate).",
    ("sink",),
    more="In `agentd_sink_events_total` a line counts once",
)
ENCODE_FAILURES = Family(
    COUNTER,
    "agentd_sink_encode_failures",
    "Events that a sink failed to encode: each is a bug of agentd.",
    ("sink",),
    more="The sink writes a `lost` line with stage `sink` in the place of each",
    todo="report the bug; the log has its traceback, once a minute",
)
BYTES = Family(COUNTER, "agentd_sink_bytes", "Bytes that a sink has written.", ("sink",))
QUEUED = Family(
    GAUGE,
    "agentd_sink_queued_events",
    "Events that wait.",
    ("sink",),
    more="Their room in the buffer is kept, so that a restart finds them",
)
QUEUED_BYTES = Family(
    GAUGE,
    "agentd_sink_queued_bytes",
    "What waits, in bytes.",
    ("sink",),
    more="As text, in whole batches",
)
CAPACITY_BYTES = Family(
    GAUGE,
    "agentd_sink_capacity_bytes",
    "How many bytes may wait.",
    ("sink",),
    more="64 MiB; a small buffer is full before that",
)
FAILING = Family(
    GAUGE,
    "agentd_sink_failing",
    "1 while a sink cannot be written.",
    ("sink",),
    more="A full disk, no journald, a reader that has gone away. It is tried again every second,"
    " and tells as `lost` what it had to drop",
    todo="`agentd status` and the log say why",
)
SUPPRESSED = Family(
    COUNTER,
    "agentd_journal_suppressed_entries",
    "Entries of this service that journald says its rate limit has thrown away.",
    more="Looked up every 30 s where events go to the journal",
    todo="`LogRateLimitIntervalSec=1us` in the unit, which the packaged one has",
)
LIMITED = Family(
    GAUGE,
    "agentd_journal_rate_limited",
    "1 where a rate limit of journald's holds for what this service writes there.",
    more="So that some may be missing there; how many, the row above tells only where agentd may"
    " read the journal (`SupplementaryGroups=systemd-journal`)",
    todo="as above",
)
LOG_DROPPED = Family(
    COUNTER,
    "agentd_log_dropped_lines",
    "Lines of agentd's own log that nobody took.",
    more="Dropped, because nobody had taken the thousand before them",
    todo="whoever reads standard error, or journald, is stuck",
)
CANARIES = Family(
    COUNTER,
    "agentd_canaries",
    "Processes of our own, sent to see that all works; only with a watchdog.",
    ("result",),
    more="Through kernel, buffer, order, tree and sinks; `passed` or `missed`. `WatchdogSec=` of"
    " the unit turns it on",
    todo="`missed`: the log says when; the watchdog restarts agentd if they keep missing",
)
CANARY_LATENCY = Family(
    GAUGE,
    "agentd_canary_latency_seconds",
    "From the last canary's exit until that had been handed to the sinks.",
    more="0 with a filter that leaves agentd out",
)


def sinks(now: Snapshot) -> Iterator[Metric]:
    """What became of events at each sink."""
    yield WRITTEN.by((sink.name, sink.written) for sink in now.sinks)
    yield DROPPED.by((sink.name, sink.dropped) for sink in now.sinks)
    yield UNWANTED.by((sink.name, sink.unwanted) for sink in now.sinks)
    yield MERGED.by((sink.name, sink.merged) for sink in now.sinks)
    yield ENCODE_FAILURES.by((sink.name, sink.encode_failures) for sink in now.sinks)
    yield BYTES.by((sink.name, sink.bytes_written) for sink in now.sinks)
    yield QUEUED.by((sink.name, sink.queued) for sink in now.sinks)
    yield QUEUED_BYTES.by((sink.name, sink.queued_bytes) for sink in now.sinks)
    yield CAPACITY_BYTES.by((sink.name, sink.capacity_bytes) for sink in now.sinks)
    yield FAILING.by((sink.name, float(bool(sink.failure))) for sink in now.sinks)
    yield SUPPRESSED.value(now.journal_suppressed)
    yield LIMITED.value(float(now.journal_limited))
    yield LOG_DROPPED.value(now.log_lines_dropped)


def canary(now: Snapshot) -> Iterator[Metric]:
    """Processes of our own."""
    yield CANARIES.by((("passed", now.canaries_passed), ("missed", now.canaries_missed)))
    yield CANARY_LATENCY.value(now.canary_latency_seconds)
