"""How the daemon itself does: rounds, buffer, programs in the kernel."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from agentd import __version__
from agentd.metrics.family import COUNTER, GAUGE, HISTOGRAM, Family, Metric
from agentd.metrics.snapshot import Snapshot

ROUNDS = Family(COUNTER, "agentd_rounds", "Rounds of reading and handing on.")
WAKEUPS = Family(
    COUNTER,
    "agentd_wakeups",
    "Times that the daemon slept and was woken.",
    more="An idle host has next to none",
)
LAST_EVENT = Family(
    GAUGE,
    "agentd_last_event_timestamp_seconds",
    "When the newest event that went out happened; 0 before the first.",
    more="By the wall clock",
)
ROUND_DURATION = Family(
    HISTOGRAM,
    "agentd_round_duration_seconds",
    "Time of one round, from reading the clock to the commit.",
    ("le",),
    todo="long: agentd does not get the CPU, or many events came at once",
)
LATENCY = Family(
    HISTOGRAM,
    "agentd_event_latency_seconds",
    "Time from the kernel's stamp to the event's hand-over to the sinks.",
    ("le",),
    todo="bounded by `transport.batch_delay_max_ms` and the slack while agentd gets a CPU",
)
TRANSPORT = Family(
    GAUGE,
    "agentd_transport_info",
    "What carries events out of the kernel.",
    ("kind",),
    more="`ringbuf` or `perfbuf`; always 1",
    todo="`perfbuf` where the kernel has a ring buffer: [transports.md](transports.md)",
)
RING = Family(
    GAUGE,
    "agentd_ring_bytes",
    "The ring buffer, or all perf buffers.",
    ("state",),
    more="`used` now, and the `size`",
    todo="often more than half used: raise `transport.ring_bytes` or"
    " `transport.perf_bytes_per_cpu`",
)
LOST_SAMPLES = Family(
    COUNTER,
    "agentd_transport_lost_samples",
    "What the kernel says it could not write to perf buffers; an exec is tried twice.",
    more="`PERF_RECORD_LOST`: a part of it is in `agentd_lost_events_total` already, for the second"
    " time is with shorter arguments",
)
PROGRAM_RUNS = Family(
    COUNTER,
    "agentd_program_runs",
    "Runs of a program in the kernel, while kernel.bpf_stats_enabled is 1.",
    ("tracepoint",),
    more="Which itself costs some ten ns a run",
)
PROGRAM_SECONDS = Family(
    COUNTER,
    "agentd_program_seconds",
    "Time that a program took in the kernel, while kernel.bpf_stats_enabled is 1.",
    ("tracepoint",),
)
PYTHON_BLOCKS = Family(
    GAUGE,
    "agentd_python_blocks",
    "Blocks of memory that objects of Python take.",
    more="`sys.getallocatedblocks()`. Resident memory has what is free between them, too",
    todo="goes up for hours while the tree does not: a leak, please report it",
)
UNDECIDED = Family(
    COUNTER,
    "agentd_matches_undecided",
    "Events and command lines that patterns could not be searched in: there was no time.",
    ("where",),
    more="By the key that holds the pattern. Such an event is written, with `agentd.undecided`; of"
    " such a command line, what was not searched is replaced, with `agentd.redaction`",
    todo="somebody makes arguments that a pattern takes long to search, or a pattern is slow on"
    " any: avoid `.*` before other repeats ([filters.md](filters.md))",
)
BUILD = Family(GAUGE, "agentd_build_info", "What runs, as labels.", ("version", "python", "kernel"))
FORKS_UNACCOUNTED = Family(
    GAUGE,
    "agentd_audit_forks_unaccounted",
    "Forks in /proc/stat since the start that the programs did not see; 0 with a filter.",
    more="Threads included",
    todo="the kernel's own I/O workers (io_uring, vhost) are counted there and pass no tracepoint;"
    " more than those: a bug",
)
HELPER_FAILURES = Family(
    COUNTER,
    "agentd_helper_failures",
    "Jobs that a helper process did not do: it died, was too slow, or said something else.",
    ("helper",),
    more="`processes`: the scan of /proc. `users`: names of users and groups. `cgroups`: their"
    " paths. `journal`: what journald dropped. `canary`: a process of our own",
    todo="the log says why; events go on, without what the helper would have found out",
)

LATENCIES = (ROUNDS, ROUND_DURATION, LATENCY, TRANSPORT, RING, LOST_SAMPLES, BUILD)


def rounds(now: Snapshot) -> Iterator[Metric]:
    """The rounds, and how long events take."""
    yield ROUNDS.value(now.rounds)
    yield WAKEUPS.value(now.wakeups)
    yield LAST_EVENT.value(now.last_event_timestamp_seconds)
    yield ROUND_DURATION.histogram(now.round_duration)
    yield LATENCY.histogram(now.latency, now.entity)


def transport(now: Snapshot) -> Iterator[Metric]:
    """The buffer between kernel and agentd."""
    yield TRANSPORT.by([(now.transport, 1)])
    yield RING.by((("used", now.ring_used_bytes), ("size", now.ring_size_bytes)))
    yield LOST_SAMPLES.value(now.lost_samples)


def programs(now: Snapshot) -> Iterator[Metric]:
    """What the programs in the kernel cost; nothing moves unless the kernel counts it."""
    yield PROGRAM_RUNS.by((program.tracepoint, program.runs) for program in now.programs)
    yield PROGRAM_SECONDS.by((program.tracepoint, program.run_ns / 1e9) for program in now.programs)


def memory(now: Snapshot) -> Iterator[Metric]:
    """What tells a leak from memory that is free, but cannot be given back."""
    yield PYTHON_BLOCKS.value(now.python_blocks)


def patterns(now: Snapshot) -> Iterator[Metric]:
    """Searches that ran out of time."""
    yield UNDECIDED.by(now.undecided.items())


def audit(now: Snapshot) -> Iterator[Metric]:
    """Forks that the programs did not see."""
    yield FORKS_UNACCOUNTED.value(now.forks_unaccounted)


def helpers(now: Snapshot) -> Iterator[Metric]:
    """What helpers did not do."""
    yield HELPER_FAILURES.by(now.helper_failures)


def build_info() -> Metric:
    """What runs."""
    labels = (__version__, platform.python_version(), platform.release())
    return BUILD.series([(labels, 1)])
