"""Everything that is exported, as the parts of the daemon count it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentd.core.accounting import KernelCounters
from agentd.core.histogram import Histogram
from agentd.core.pipeline import Pipeline
from agentd.core.work import Ranking


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """What became of events at one sink."""

    name: str
    written: int
    dropped: int
    unwanted: int
    merged: int
    queued: int
    bytes_written: int
    queued_bytes: int
    capacity_bytes: int
    encode_failures: int
    failure: str
    """Why it cannot be written; empty while it can."""


@dataclass(frozen=True, slots=True)
class ProgramCost:
    """What the kernel counted of one of the programs (kernel.bpf_stats_enabled)."""

    tracepoint: str
    skipped: int
    """Runs that the kernel left out; that it always counts."""
    runs: int
    run_ns: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is exported, at one moment."""

    kind_names: tuple[str, ...]
    pipeline: Pipeline
    kernel: KernelCounters
    entity: str
    """The first digits of the boot id, of entity ids."""
    units: Ranking[tuple[str, str]]
    """By unit and slice."""
    executables: Ranking[tuple[str]]
    page_bytes: int
    programs: tuple[ProgramCost, ...]
    wakeups: int
    python_blocks: int
    last_event_timestamp_seconds: float
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
    sinks: tuple[SinkCounts, ...]
    journal_suppressed: int
    journal_limited: bool
    helper_failures: tuple[tuple[str, int], ...]
    """By job."""
    log_lines_dropped: int
    undecided: Mapping[str, int]
    """Events by the key of the pattern."""
