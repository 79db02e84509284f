"""Everything that is exported, as plain numbers: what the daemon counts, and another process shows.

All of it is msgpack's own: numbers, texts, lists and maps.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from agentd.core.histogram import Example, Histogram


class SinkCounts(NamedTuple):
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


class ProgramCost(NamedTuple):
    """What the kernel counted of one of the programs (kernel.bpf_stats_enabled)."""

    tracepoint: str
    skipped: int
    """Runs that the kernel left out; that it always counts."""
    runs: int
    run_ns: int


class Times(NamedTuple):
    """What a histogram has counted."""

    bounds_ns: tuple[int, ...]
    counts: tuple[int, ...]
    total: int
    sum_ns: int
    examples: dict[int, Example]

    @classmethod
    def of(cls, histogram: Histogram) -> Times:
        """Copy it."""
        bounds_ns, counts = histogram.bounds_ns, tuple(histogram.counts)
        examples = dict(histogram.examples)
        return cls(bounds_ns, counts, histogram.count, histogram.sum_ns, examples)

    @classmethod
    def read(cls, plain: Any) -> Times:
        """From what was packed."""
        bounds_ns, counts, total, sum_ns, examples = plain
        found = {place: Example(*example) for place, example in examples.items()}
        return cls(bounds_ns, counts, total, sum_ns, found)


class WorkOf(NamedTuple):
    """The work of one name since it has a series of its own."""

    name: tuple[str, ...]
    execs: int
    exits: int
    cpu_ns: int
    max_rss_pages: int


class OwnProcess(NamedTuple):
    """The daemon as the kernel and Python see it."""

    virtual_bytes: int
    resident_bytes: int
    started_seconds: float
    """By the wall clock."""
    cpu_seconds: float
    open_fds: int
    max_fds: int
    collections: tuple[tuple[int, int, int], ...]
    """Of each generation of the garbage collector: objects collected, uncollectable, runs."""


class Beside(NamedTuple):
    """What stands beside the daemon, as it counts it."""

    front_starts: int
    front_failures: int
    snapshots: int
    snapshot_failures: int
    questions_refused: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is exported, at one moment."""

    kind_names: tuple[str, ...]
    emitted: tuple[int, ...]
    """By kind, as are those below."""
    attempts: tuple[int, ...]
    filtered: tuple[int, ...]
    inferred: tuple[int, ...]
    threads: int
    decode_errors: int
    duplicate_exits: int
    carried: int
    losses: tuple[tuple[str, str, int], ...]
    """Stage, kind and how many."""
    imbalance: int
    held: int
    held_capacity: int
    late: int
    forced: int
    inversions_in: int
    inversions_out: int
    tree: dict[str, int]
    """Processes by state."""
    tree_capacity: dict[str, int]
    evictions: dict[str, int]
    text_bytes: int
    """Of what processes run, in the tree."""
    text_bytes_max: int
    forgotten: dict[str, int]
    """Of that, by kind."""
    misses: dict[str, int]
    entity: str
    """The first digits of the boot id, of entity ids; empty if no process is to be named."""
    units: tuple[WorkOf, ...]
    """By unit and slice."""
    units_capacity: int
    executables: tuple[WorkOf, ...]
    executables_capacity: int
    page_bytes: int
    programs: tuple[ProgramCost, ...]
    wakeups: int
    python_blocks: int
    last_event_timestamp_seconds: float
    rounds: int
    round_duration: Times
    latency: Times
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
    undecided: dict[str, int]
    """Events by the key of the pattern."""
    own: OwnProcess
    beside: Beside

    def plain(self) -> dict[str, Any]:
        """By field, for ``read``."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_ROWS = {
    "units": WorkOf,
    "executables": WorkOf,
    "programs": ProgramCost,
    "sinks": SinkCounts,
}


def read_snapshot(plain: dict[str, Any]) -> Snapshot:
    """What ``Snapshot.plain`` gave, after it has been through msgpack."""
    rows = {name: tuple(row(*values) for values in plain[name]) for name, row in _ROWS.items()}
    times = {name: Times.read(plain[name]) for name in ("round_duration", "latency")}
    one = {"own": OwnProcess(*plain["own"]), "beside": Beside(*plain["beside"])}
    return Snapshot(**plain | rows | times | one)
