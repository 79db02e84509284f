"""The account: what the kernel attempted against what came out, to the event.

Two independent sources are held against each other. The records carry the attempt number of
their CPU, so a gap in it says *where* something is missing. The kernel's counters say *how many*
attempts failed, of which kind. A gap is a loss only when a failure explains it, and a failure is
reported as a ``lost`` event only at a gap; both are counted once.

An attempt number can be taken a moment before its record is reserved, by a program that another
one preempts: such a gap closes by itself, and no failure ever explains it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agentd.core.event import Event, Lost

STAGE_RESERVE = "reserve"
"""No room in the ring buffer."""
STAGE_DECODE = "decode"
"""Delivered, but not believed."""

PerCpu = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KernelCounters:
    """One reading of the kernel's counters: per kind (fork, exec, exit) and possible CPU.

    ``seq`` must be read after ``failures``: then no failure is known before its attempt.
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
        """Attempts of all kinds on all CPUs that found no room."""
        return sum(map(sum, self.failures))


@dataclass(slots=True)
class _Gap:
    """Attempt numbers that have not arrived, between two events of their CPU."""

    seq: int
    count: int
    from_boottime_ns: int
    to_boottime_ns: int

    def take(self, seq: int) -> list[_Gap]:
        """What is left of the gap when one of its numbers arrives after all."""
        below = _Gap(self.seq, seq - self.seq, self.from_boottime_ns, self.to_boottime_ns)
        above_count = self.seq + self.count - seq - 1
        above = _Gap(seq + 1, above_count, self.from_boottime_ns, self.to_boottime_ns)
        return [gap for gap in (below, above) if gap.count]


@dataclass(slots=True)
class _Cpu:
    """What is known of one CPU's attempt numbers."""

    next_seq: int = 0
    last_boottime_ns: int = 0
    gaps: list[_Gap] = field(default_factory=list)
    reported: int = 0
    """Failures that have become ``lost`` events."""
    settled: tuple[int, ...] = ()
    """The failures by kind when all of them had been reported."""


class LossTracker:
    """Finds the gaps in the attempt numbers and turns explained ones into ``lost`` events."""

    def __init__(self, cpus: int, kinds: int) -> None:
        self.repeated_total = 0
        """Attempt numbers that came twice: never, unless there is a bug."""
        self._cpus = [_Cpu(settled=(0,) * kinds) for _ in range(cpus)]
        self._decode_errors_reported = 0
        self._settled: tuple[PerCpu, ...] = ((0,) * cpus,) * kinds
        """The failures when the last of them had been reported."""

    def observe(self, released: list[Event]) -> None:
        """Note the attempt numbers of events that leave, in the order in which they leave."""
        cpus = self._cpus
        for event in released:
            cpu = cpus[event[2]]
            if event[1] == cpu.next_seq:
                cpu.next_seq += 1
            else:
                self._jump(cpu, event[1], event[0])
            cpu.last_boottime_ns = event[0]

    def _jump(self, cpu: _Cpu, seq: int, boottime_ns: int) -> None:
        if seq > cpu.next_seq:
            count = seq - cpu.next_seq
            cpu.gaps.append(_Gap(cpu.next_seq, count, cpu.last_boottime_ns, boottime_ns))
            cpu.next_seq = seq + 1
            return
        for index, gap in enumerate(cpu.gaps):
            if gap.seq <= seq < gap.seq + gap.count:
                cpu.gaps[index : index + 1] = gap.take(seq)
                return
        self.repeated_total += 1

    def settle(
        self,
        counters: KernelCounters,
        watermark_ns: int,
        decode_errors: int,
        *,
        drained: bool,
    ) -> list[Lost]:
        """The losses that are certain now.

        ``counters`` were read before the round's drain, ``drained`` says that the drain reached
        all that had been reserved then: what is still missing at the end of a CPU's numbers has
        then failed, if the failures say so.
        """
        lost: list[Lost] = []
        if not self.unreported(counters):
            return lost
        for number, cpu in enumerate(self._cpus):
            failures = tuple(kind[number] for kind in counters.failures)
            unreported = sum(failures) - cpu.reported
            if unreported:
                if drained:
                    self._close_tail(cpu, counters.seq[number], unreported, watermark_ns)
                lost += self._report(cpu, number, failures, unreported)
            if cpu.gaps and decode_errors > self._decode_errors_reported:
                lost += self._report_undecoded(cpu, number, decode_errors)
        if sum(cpu.reported for cpu in self._cpus) == counters.failures_total:
            self._settled = counters.failures
        return lost

    def unreported(self, counters: KernelCounters) -> bool:
        """Whether something is missing that no ``lost`` event has told yet."""
        return counters.failures != self._settled or any(cpu.gaps for cpu in self._cpus)

    def _close_tail(self, cpu: _Cpu, next_seq: int, unreported: int, watermark_ns: int) -> None:
        """Failures after the last event of a CPU are a gap too, though no later event shows it."""
        missing = next_seq - cpu.next_seq
        if missing > 0 and unreported - sum(gap.count for gap in cpu.gaps) == missing:
            cpu.gaps.append(_Gap(cpu.next_seq, missing, cpu.last_boottime_ns, watermark_ns))
            cpu.next_seq = next_seq

    def _report(
        self, cpu: _Cpu, number: int, failures: tuple[int, ...], unreported: int
    ) -> list[Lost]:
        """All gaps, if the failures explain them all; else something is still on its way."""
        missing = sum(gap.count for gap in cpu.gaps)
        if missing > unreported:
            return []
        kinds = [k for k, n in enumerate(failures) if n != cpu.settled[k]]
        kind = kinds[0] if len(kinds) == 1 else None
        lost = [_lost(gap, number, STAGE_RESERVE, kind) for gap in cpu.gaps]
        cpu.gaps.clear()
        cpu.reported += missing
        if missing == unreported:
            cpu.settled = failures
        return lost

    def _report_undecoded(self, cpu: _Cpu, number: int, decode_errors: int) -> list[Lost]:
        """A record that was not believed leaves a gap that no kernel failure explains."""
        missing = sum(gap.count for gap in cpu.gaps)
        if missing > decode_errors - self._decode_errors_reported:
            return []
        lost = [_lost(gap, number, STAGE_DECODE, None) for gap in cpu.gaps]
        cpu.gaps.clear()
        self._decode_errors_reported += missing
        return lost


def _lost(gap: _Gap, cpu: int, stage: str, kind: int | None) -> Lost:
    return Lost(gap.to_boottime_ns, gap.seq, cpu, gap.count, stage, kind, gap.from_boottime_ns)


class Balance:
    """Attempts against what became of them.

    At any moment a few attempts are between their counting and their record's arrival, so the
    difference is not 0 while processes come and go. But an attempt that was counted before the
    *previous* round has had a whole round to arrive. So the difference must lie between 0 and
    the attempts made since then, and the distance to that range is the imbalance.
    """

    def __init__(self) -> None:
        self._attempts_before = 0

    def imbalance(self, before: KernelCounters, accounted: int, after: KernelCounters) -> int:
        """Events that the account cannot explain; 0 unless there is a bug. Never negative.

        ``before`` and ``after`` were read before and after the round's drain, ``accounted`` are
        all events that arrived up to its end.
        """
        explained = accounted + after.failures_total
        missing = self._attempts_before - explained
        surplus = explained - after.attempts_total
        self._attempts_before = before.attempts_total
        return max(0, missing, surplus)
