"""What a sink has not told: events that left the pipeline and then did not fit into its queue.

They are told, when the sink takes something again, as ``lost`` events at their place: one a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agentd.core.loss.stages import STAGE_SINK
from agentd.core.loss.tracker import PerCpu, Progress
from agentd.core.pipeline import Entry
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import NO_CPU, Lost

_PID_BITS = 22  # include/linux/threads.h, PID_MAX_LIMIT

Span = tuple[int, int, int, int]
"""First attempt number, how many, from when, until when (CLOCK_BOOTTIME)."""


@dataclass(slots=True)
class Untold:
    """Events by CPU. Inferred ones have none: they are known by the gap in ``event.sequence``."""

    spans: dict[int, Span] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Untold:
        """What these entries would have told."""
        untold = cls()
        for entry in entries:
            if isinstance(entry, Lost):
                untold._add(entry.cpu, (entry.seq, entry.missing, *_times(entry)))
            elif not isinstance(entry, Inferred):
                at_ns = entry.event.boottime_ns
                untold._add(entry.event.cpu, (entry.event.seq, 1, at_ns, at_ns))
        return untold

    @property
    def total(self) -> int:
        """How many events."""
        return sum(span[1] for span in self.spans.values())

    def add(self, other: Untold) -> None:
        """And those."""
        for cpu, span in other.spans.items():
            self._add(cpu, span)

    def losses(self) -> list[Lost]:
        """As events, in order."""
        return sorted(
            Lost(to_ns, seq, cpu, count, STAGE_SINK, None, from_ns)
            for cpu, (seq, count, from_ns, to_ns) in self.spans.items()
        )

    def rows(self, cpus: int) -> tuple[PerCpu, PerCpu]:
        """First numbers and counts, as ``Progress.untold`` has them."""
        spans = [self.spans.get(cpu, (0, 0, 0, 0)) for cpu in (*range(cpus), NO_CPU)]
        return tuple(span[0] for span in spans), tuple(span[1] for span in spans)

    def _add(self, cpu: int, span: Span) -> None:
        seq, count, from_ns, to_ns = self.spans.get(cpu, (span[0], 0, span[2], 0))
        self.spans[cpu] = (
            min(seq, span[0]), count + span[1], min(from_ns, span[2]), max(to_ns, span[3])
        )  # fmt: skip


def loss_of(entry: Entry) -> Lost:
    """What stands in the place of an entry that a sink could not write."""
    if isinstance(entry, Inferred):
        at_ns = entry.boottime_ns
        number = at_ns << _PID_BITS | entry.key[0]  # as unique as the line that it stands for
        return Lost(at_ns, number, NO_CPU, 1, STAGE_SINK, entry.kind, at_ns)
    return Untold.of([entry]).losses()[0]


def untold_by(progress: Progress) -> list[Lost]:
    """What a process that is gone had dropped and not told."""
    at_ns = progress.at_ns
    rows = zip(*progress.untold, strict=True)  # of nothing, if nothing was dropped
    cpus = (*range(len(progress.next_seq)), NO_CPU)
    spans = {
        cpu: (seq, count, at_ns, at_ns)
        for cpu, (seq, count) in zip(cpus, rows, strict=False)
        if count
    }
    return Untold(spans).losses()


def _times(lost: Lost) -> tuple[int, int]:
    return lost.from_boottime_ns, lost.boottime_ns
