"""The account: what the kernel attempted against what came out, to the event.

Two independent sources are held against each other. The records carry the attempt number of
their CPU, so a gap in it says *where* something is missing. The kernel's counters say *how many*
attempts failed, of which kind. A gap is a loss only when a failure explains it, and a failure is
reported as a ``lost`` event only at a gap; both are counted once.

An attempt number can be taken a moment before its record is reserved, by a program that another
one preempts: such a gap closes by itself, and no failure explains it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from agentd.core.loss.stages import STAGE_DECODE, STAGE_MIXED, STAGE_OUTPUT, STAGE_RESTART
from agentd.core.wire.events import Event, Lost

PerCpu = tuple[int, ...]


class Cause(NamedTuple):
    """What a row of ``KernelCounters.failures`` counts: a stage, and the kind it befell."""

    stage: str
    kind: int


def causes(kinds: int, room_stage: str) -> tuple[Cause, ...]:
    """The rows of ``KernelCounters.failures``, in order, for a transport's word for no room."""
    return tuple(
        Cause(stage, kind) for stage in (room_stage, STAGE_OUTPUT) for kind in range(kinds)
    )


@dataclass(frozen=True, slots=True)
class KernelCounters:
    """One reading of the kernel's counters: per kind (fork, exec, exit) and possible CPU.

    ``failures`` has one row a cause. ``seq`` must be read after ``failures``: then no failure is
    known before its attempt.
    """

    failures: tuple[PerCpu, ...]
    seq: PerCpu
    attempts: tuple[PerCpu, ...]
    filtered: tuple[PerCpu, ...]
    threads: PerCpu

    @property
    def attempts_total(self) -> int:
        """Attempts of all kinds on all CPUs."""
        return sum(map(sum, self.attempts))

    @property
    def failures_total(self) -> int:
        """Attempts of all kinds on all CPUs that failed, for any cause."""
        return sum(map(sum, self.failures))


@dataclass(slots=True)
class _Gap:
    """Attempt numbers that have not arrived, between two events of their CPU."""

    seq: int
    count: int
    from_boottime_ns: int
    to_boottime_ns: int
    awaited: bool = True

    def part(self, first: int, end: int) -> _Gap | None:
        """What lies from ``first`` up to but without ``end``, if anything does."""
        first, end = max(first, self.seq), min(end, self.seq + self.count)
        return replace(self, seq=first, count=end - first) if first < end else None


@dataclass(slots=True)
class _Cpu:
    """What is known of one CPU's attempt numbers."""

    next_seq: int = 0
    last_boottime_ns: int = 0
    gaps: list[_Gap] = field(default_factory=list)
    settled: tuple[int, ...] = ()
    """The failures by kind that have become ``lost`` events."""

    def arrive(self, seq: int, boottime_ns: int) -> bool:
        """Note a number. False if it had arrived before."""
        if seq < self.next_seq:
            return self._fill(seq)
        if seq > self.next_seq:
            # the number before the gap may have been stamped after the one behind it
            from_ns = min(self.last_boottime_ns, boottime_ns)
            count = seq - self.next_seq
            self.gaps.append(_Gap(self.next_seq, count, from_ns, boottime_ns))
        self.next_seq = seq + 1
        return True

    @property
    def first_awaited(self) -> int:
        """The first number that may still come."""
        return next((gap.seq for gap in self.gaps if gap.awaited), self.next_seq)

    def missing_below(self, seq: int) -> int:
        """How many numbers below ``seq`` have not arrived, but are awaited."""
        inside = sum(part.count for gap in self.gaps if gap.awaited and (part := gap.part(0, seq)))
        return inside + max(0, seq - self.next_seq)

    def close_below(self, seq: int, now_ns: int) -> None:
        """Make a gap of the numbers below ``seq`` that have no event behind them yet."""
        if seq > self.next_seq:
            count = seq - self.next_seq
            self.gaps.append(_Gap(self.next_seq, count, self.last_boottime_ns, now_ns))
            self.next_seq = seq

    def take_below(self, seq: int, now_ns: int) -> list[_Gap]:
        """Remove and give the gaps below ``seq``."""
        self.close_below(seq, now_ns)
        taken = [part for gap in self.gaps if (part := gap.part(0, seq))]
        self.gaps = [part for gap in self.gaps if (part := gap.part(seq, self.next_seq))]
        return taken

    def _fill(self, seq: int) -> bool:
        for index, gap in enumerate(self.gaps):
            if gap.seq <= seq < gap.seq + gap.count:
                rest = (gap.part(0, seq), gap.part(seq + 1, self.next_seq))
                self.gaps[index : index + 1] = [part for part in rest if part]
                return True
        return False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream has been handed on: what a successor begins with."""

    next_seq: PerCpu
    """Every attempt below its CPU's number has been handed on, or told as lost."""
    settled: tuple[PerCpu, ...]
    """The failures that have been told, as ``KernelCounters.failures``."""
    at_ns: int
    """When that was so."""
    watermark_ns: int
    """Everything stamped at or before it has been handed on."""
    untold: tuple[PerCpu, ...] = ()
    """First numbers and counts of what a sink dropped and has not reported: a row of each, by CPU
    and then of what has no CPU. Empty if nothing."""
    skipped: tuple[int, ...] = ()
    """Runs that were left out and have been told, by kind; empty if none."""
    awaited: tuple[tuple[int, int, int], ...] = ()
    """But for these: CPU, first number and how many. Of a planned end; a ledger has none."""

    def handed_on(self, first_seq: int) -> int:
        """How many attempts were handed on. ``first_seq``: each CPU's first number."""
        attempts = sum(seq - first_seq for seq in self.next_seq)
        attempts -= sum(count for _, _, count in self.awaited)
        return attempts - sum(map(sum, self.settled))


class LossTracker:
    """Finds the gaps in the attempt numbers and turns explained ones into ``lost`` events.

    Of the numbers below a CPU's attempt counter, those that failed never arrive. So when as many
    are missing as failures were counted *before* that counter was read, the missing ones are the
    failed ones, exactly. When more are missing, something is still on its way, and a later round
    will tell.
    """

    def __init__(self, cpus: int, causes: tuple[Cause, ...], first_seq: int = 0) -> None:
        self.repeated_total = 0
        """Attempt numbers that came twice: never, unless there is a bug."""
        self._causes = causes
        self._cpus = [_Cpu(first_seq, settled=(0,) * len(causes)) for _ in range(cpus)]
        self._settled: tuple[PerCpu, ...] = ((0,) * cpus,) * len(causes)
        """The failures that have become ``lost`` events, as the counters have them."""
        self._decode_errors_settled = 0

    def resume(self, progress: Progress) -> None:
        """Begin where somebody else stopped, before the first event arrives."""
        for number, cpu in enumerate(self._cpus):
            cpu.next_seq = progress.next_seq[number]
            cpu.settled = tuple(row[number] for row in progress.settled)
        for number, first, count in progress.awaited:
            gap = _Gap(first, count, progress.watermark_ns, progress.at_ns)
            self._cpus[number].gaps.append(gap)
        self._settled = progress.settled

    @property
    def next_seq(self) -> PerCpu:
        """All numbers that have arrived are below these."""
        return tuple(cpu.next_seq for cpu in self._cpus)

    def progress(self, at_ns: int = 0, watermark_ns: int = 0) -> Progress:
        """How far it has come: up to the first number that is awaited."""
        next_seq = tuple(cpu.first_awaited for cpu in self._cpus)
        settled = tuple(zip(*(cpu.settled for cpu in self._cpus), strict=True))
        return Progress(next_seq, settled, at_ns, watermark_ns)

    def position(self, at_ns: int, watermark_ns: int) -> Progress:
        """How far it has come, to the number, when nothing is held back."""
        return replace(
            self.progress(at_ns, watermark_ns),
            next_seq=self.next_seq,
            awaited=tuple(
                (number, gap.seq, gap.count)
                for number, cpu in enumerate(self._cpus)
                for gap in cpu.gaps
                if gap.awaited
            ),
        )

    def arrive(self, events: list[Event]) -> None:
        """Note the attempt numbers of events, in the order in which they arrived."""
        cpus = self._cpus
        for event in events:
            cpu = cpus[event[2]]
            if event[1] == cpu.next_seq:
                cpu.next_seq += 1
            elif not cpu.arrive(event[1], event[0]):
                self.repeated_total += 1
            cpu.last_boottime_ns = event[0]

    def settle(self, counters: KernelCounters, now_ns: int, decode_errors: int) -> list[Lost]:
        """The losses that are certain now.

        ``counters`` were read before the drain whose events arrived last, and ``now_ns``, the
        clock, before them.
        """
        lost: list[Lost] = []
        for number, cpu in enumerate(self._cpus):
            failures = tuple(row[number] for row in counters.failures)
            missing = cpu.missing_below(counters.seq[number])
            undecoded = missing - (sum(failures) - sum(cpu.settled))
            if not 0 <= undecoded <= decode_errors - self._decode_errors_settled:
                continue
            stage, kind = self._common_cause(cpu.settled, failures, undecoded)
            gaps = cpu.take_below(counters.seq[number], now_ns) if missing else []
            lost += [_lost(gap, number, stage, kind) for gap in gaps]
            cpu.settled = failures
            self._decode_errors_settled += undecoded
        if all(
            cpu.settled == tuple(row[number] for row in counters.failures)
            for number, cpu in enumerate(self._cpus)
        ):
            self._settled = counters.failures
        return lost

    def complete_below(self, seq: PerCpu) -> bool:
        """Whether each CPU's attempts below its number have arrived or been told as lost."""
        return all(cpu.first_awaited >= end for cpu, end in zip(self._cpus, seq, strict=True))

    def give_up_below(self, seq: PerCpu, now_ns: int) -> None:
        """Await the missing numbers below these no longer; the imbalance will tell of them."""
        for cpu, end in zip(self._cpus, seq, strict=True):
            cpu.close_below(end, now_ns)
            for gap in cpu.gaps:
                gap.awaited = gap.awaited and gap.seq >= end

    def abandon_below(self, seq: PerCpu, now_ns: int) -> list[Lost]:
        """The numbers below these that are missing, as lost for ever."""
        return [
            _lost(gap, number, STAGE_RESTART, None)
            for number, (cpu, end) in enumerate(zip(self._cpus, seq, strict=True))
            for gap in cpu.take_below(end, now_ns)
        ]

    def unreported(self, counters: KernelCounters) -> bool:
        """Whether something is missing that no ``lost`` event has told yet."""
        return counters.failures != self._settled or any(
            gap.awaited for cpu in self._cpus for gap in cpu.gaps
        )

    def _common_cause(
        self, settled: tuple[int, ...], failures: tuple[int, ...], undecoded: int
    ) -> tuple[str, int | None]:
        """What all failures since the last settling have in common: their stage, their kind."""
        found = [c for c, n, m in zip(self._causes, failures, settled, strict=True) if n != m]
        stages = {cause.stage for cause in found} | ({STAGE_DECODE} if undecoded else set())
        kinds = {None if undecoded else cause.kind for cause in found}
        return (
            stages.pop() if len(stages) == 1 else STAGE_MIXED,
            kinds.pop() if len(kinds) == 1 else None,
        )


def unread_losses(progress: Progress, now: KernelCounters, now_ns: int) -> list[Lost]:
    """What was attempted since, where the buffers have gone with the process that read them."""
    return [
        Lost(now_ns, first, cpu, end - first, STAGE_RESTART, None, progress.at_ns)
        for cpu, (first, end) in enumerate(zip(progress.next_seq, now.seq, strict=True))
        if end > first
    ]


def _lost(gap: _Gap, cpu: int, stage: str, kind: int | None) -> Lost:
    return Lost(gap.to_boottime_ns, gap.seq, cpu, gap.count, stage, kind, gap.from_boottime_ns)
