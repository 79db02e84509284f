"""What became of events: the chain from the kernel's attempt to the tree."""

from __future__ import annotations

from collections.abc import Iterator

from agentd.metrics.family import COUNTER, GAUGE, Family, Metric
from agentd.metrics.snapshot import Snapshot

EVENTS = Family(
    COUNTER, "agentd_events", "Events that went out, lost events not among them.", ("kind",)
)
ATTEMPTS = Family(
    COUNTER, "agentd_kernel_attempts", "Events that the kernel tried to report.", ("kind",)
)
FILTERED = Family(
    COUNTER,
    "agentd_kernel_filtered",
    "Events that the filter left out in the kernel.",
    ("kind",),
    more="`filter.cgroup` says which",
)
THREADS = Family(
    COUNTER,
    "agentd_kernel_threads",
    "Threads that were made; they are counted, not reported.",
)
LOST = Family(
    COUNTER,
    "agentd_lost_events",
    "Events that were missed, by the stage that lost them.",
    ("stage", "kind"),
    more="`reserve`: the ring was full. `lost_samples`: a CPU's perf buffer was full. `output`: the"
    " kernel refused, as on a CPU that came online after agentd had started with perf buffers."
    " `skipped`: the kernel did not run the program, because another run of it had been preempted"
    " on that CPU: at most so many events ([events.md](events.md#losses)). `decode`: a record was"
    " not believed. `restart`: what a former agentd had left unread could not be read: perf"
    " buffers, or records of another format ([service.md](service.md#restarts-lose-nothing))",
    todo="`reserve`, `lost_samples`: raise `transport.ring_bytes` or"
    " `transport.perf_bytes_per_cpu`, or find out what keeps agentd from the CPU or its reader from"
    " reading. `output`: restart agentd. `decode`: a bug, please report it. `skipped`, `restart`:"
    " nothing",
)
DECODE_ERRORS = Family(
    COUNTER, "agentd_decode_errors", "Records that were not believed.", todo="as above"
)
DUPLICATE_EXITS = Family(
    COUNTER,
    "agentd_duplicate_exits",
    "Second exits of one process, dropped; only kernels that do not tell the last thread.",
    todo="nothing",
)
CARRIED = Family(
    GAUGE,
    "agentd_accounting_carried_events",
    "Attempts that agentd accounted for before its last restart.",
    more="The kernel's counters go on over a restart, those of events begin anew. Below 0 by the"
    " events that programs before these had left: they are no attempts of these",
)
IMBALANCE = Family(
    GAUGE,
    "agentd_accounting_imbalance",
    "Attempts that are neither emitted, filtered, lost nor in flight; 0 unless there is a bug.",
    todo="not 0: a bug, please report it",
)
INVERSIONS = Family(
    COUNTER,
    "agentd_reorder_inversions",
    "Events older than the one before them, before (in) and after (out) reordering.",
    ("side",),
    todo="`out` grows only with late or forced events",
)
LATE = Family(
    COUNTER,
    "agentd_reorder_late",
    "Events that came behind the watermark.",
    more="They carry the flag `late`",
    todo="raise `reorder.slack_us`",
)
FORCED = Family(
    COUNTER,
    "agentd_reorder_forced",
    "Events let go early because the queue was full.",
    more="They carry the flag `forced`",
    todo="raise `reorder.capacity`",
)
HELD = Family(GAUGE, "agentd_reorder_held", "Events held back for order.")
HELD_CAPACITY = Family(GAUGE, "agentd_reorder_capacity", "Events that may be held back at most.")
PROCESSES = Family(
    GAUGE,
    "agentd_tree_processes",
    "Processes in the tree.",
    ("state",),
    more="`live`; `exited` and remembered; `ancestor`, exited long ago and kept for those that it"
    " created",
)
TREE_CAPACITY = Family(
    GAUGE, "agentd_tree_capacity", "Processes that the tree holds at most.", ("state",)
)
RECONCILIATIONS = Family(
    COUNTER,
    "agentd_reconciliations",
    "Scans of /proc to put the tree right.",
    more="After losses, and whatever else may have made it wrong",
)
INFERRED = Family(
    COUNTER,
    "agentd_inferred_events",
    "Events that were concluded from such a scan, not seen.",
    ("kind",),
    more="They are flagged `inferred`, and not in `agentd_events_total`",
)
EVICTIONS = Family(
    COUNTER,
    "agentd_tree_evictions",
    "Processes dropped from the tree.",
    ("reason",),
    more="`exited_capacity`, `exited_age` and `ancestor_needless` (nobody whom it created is left)"
    " are how the memory of exited ones works; `live_capacity` drops processes that still run,"
    " `ancestor_capacity` such as others need for their line of ancestors",
    todo="`live_capacity`: raise `tree.live_capacity`; `ancestor_capacity`: raise"
    " `tree.ancestor_capacity`",
)
TEXT = Family(
    GAUGE,
    "agentd_tree_text_used_bytes",
    "Arguments, paths and the like in the tree, at most.",
    more="What processes share is counted once",
)
TEXT_LIMIT = Family(GAUGE, "agentd_tree_text_limit_bytes", "Such text that the tree holds at most.")
FORGOTTEN = Family(
    COUNTER,
    "agentd_tree_text_forgotten",
    "Images of processes whose text had no room any more.",
    ("detail",),
    more="The oldest first: `earlier_images`, then `arguments`, then `executable`. Events and"
    " answers flag it (`agentd.forgotten`)",
    todo="raise `tree.text_bytes`",
)
MISSES = Family(
    COUNTER,
    "agentd_tree_misses",
    "Events that did not fit the tree.",
    ("reason",),
    more="`fork_parent_unknown`, `fork_after_exit`, `exec_unknown`, `exit_unknown`, `exit_missed`"
    " (a pid came back whose owner was not seen to leave)",
    todo="with a filter, processes that move into the cgroup are unknown at first; without one,"
    " they follow losses",
)

ACCOUNT = (
    EVENTS, ATTEMPTS, FILTERED, THREADS, LOST, DECODE_ERRORS, DUPLICATE_EXITS, CARRIED,
    IMBALANCE,
)  # fmt: skip
ORDER = (INVERSIONS, LATE, FORCED, HELD, HELD_CAPACITY)
TREE = (
    PROCESSES, TREE_CAPACITY, RECONCILIATIONS, INFERRED, EVICTIONS, TEXT, TEXT_LIMIT, FORGOTTEN,
    MISSES,
)  # fmt: skip


def events(now: Snapshot) -> Iterator[Metric]:
    """Events, and what the kernel attempted."""
    yield EVENTS.by(zip(now.kind_names, now.emitted, strict=True))
    yield ATTEMPTS.by(zip(now.kind_names, now.attempts, strict=True))
    yield FILTERED.by(zip(now.kind_names, now.filtered, strict=True))
    yield THREADS.value(now.threads)
    yield DECODE_ERRORS.value(now.decode_errors)
    yield DUPLICATE_EXITS.value(now.duplicate_exits)
    yield CARRIED.value(now.carried)


def losses(now: Snapshot) -> Iterator[Metric]:
    """What was missed, and whether the account adds up."""
    yield LOST.series(((stage, kind), count) for stage, kind, count in now.losses)
    yield IMBALANCE.value(now.imbalance)


def reorder(now: Snapshot) -> Iterator[Metric]:
    """The queue that keeps the order."""
    yield HELD.value(now.held)
    yield HELD_CAPACITY.value(now.held_capacity)
    yield LATE.value(now.late)
    yield FORCED.value(now.forced)
    yield INVERSIONS.by((("in", now.inversions_in), ("out", now.inversions_out)))


def tree(now: Snapshot) -> Iterator[Metric]:
    """The process tree."""
    yield PROCESSES.by(now.tree.items())
    yield TREE_CAPACITY.by(now.tree_capacity.items())
    yield EVICTIONS.by(now.evictions.items())
    yield TEXT.value(now.text_bytes)
    yield TEXT_LIMIT.value(now.text_bytes_max)
    yield FORGOTTEN.by(now.forgotten.items())
    yield MISSES.by(now.misses.items())


def reconciling(now: Snapshot) -> Iterator[Metric]:
    """Comparisons with /proc after losses."""
    yield RECONCILIATIONS.value(now.reconciliations)
    yield INFERRED.by(zip(now.kind_names, now.inferred, strict=True))
