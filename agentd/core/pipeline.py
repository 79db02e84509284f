"""One round: decode, reorder, tree, account. What comes out is ready for the sinks.

The only place that knows the order of these steps. Everything a metric shows about them is a
plain int on them, read when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeAlias

from agentd.core.accounting import Balance, KernelCounters, LossTracker
from agentd.core.decode import Decoder, Span
from agentd.core.event import Event, Lost, by_order
from agentd.core.reorder import Reorderer
from agentd.core.tree import Applied, Process, Tree
from agentd.core.wire import Wire

Entry: TypeAlias = Applied | Lost
"""What leaves the core: an event with its process, or a loss at its place."""

GAP_PATIENCE_NS = 1_000_000_000
"""How long a gap that neither closes nor is explained may hold up the stream."""

_kind = itemgetter(3)


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the pipeline."""

    reorder_capacity: int
    slack_ns: int
    live_capacity: int
    exited_capacity: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a transport delivered in one drain.

    ``now_ns``: the clock, as read before the drain. Every record that was stamped at or before
    ``safe_ns`` is in this delivery or an earlier one. ``drained``: the drain reached everything
    that had been reserved when it began.
    """

    data: bytes
    spans: list[Span]
    now_ns: int
    safe_ns: int
    drained: bool


class Pipeline:
    """The stateful chain from delivery to entries, for one wire contract and host."""

    def __init__(self, wire: Wire, cpus: int, limits: Limits, tick_ns: int) -> None:
        kinds = wire.constant("AGENTD_KINDS")
        self.decoder = Decoder(wire, cpus)
        self.reorderer = Reorderer(
            limits.reorder_capacity, wire.constant("AGENTD_LATE"), wire.constant("AGENTD_FORCED")
        )
        self.tree = Tree(limits.live_capacity, limits.exited_capacity, tick_ns)
        self.losses = LossTracker(cpus, kinds)
        self.emitted = [0] * kinds
        """Events that left, by kind; ``lost`` events are not among them."""
        self.imbalance = 0
        """Events that the account could not explain at the last round; 0 unless there is a bug."""
        self._balance = Balance()
        self._lost: list[Lost] = []
        self._exit_kind = wire.constant("AGENTD_EXIT")
        self._slack_ns = limits.slack_ns

    @property
    def emitted_total(self) -> int:
        """Events that left, of all kinds."""
        return sum(self.emitted)

    @property
    def accounted(self) -> int:
        """Records that arrived, by what became of them."""
        return (
            self.emitted_total
            + self.tree.duplicate_exits_total
            + self.decoder.errors
            + self.reorderer.held
        )

    def waiting(self, counters: KernelCounters) -> bool:
        """Whether something is held or missing that only a further round can settle."""
        return self.reorderer.held > 0 or bool(self._lost) or self.losses.unreported(counters)

    def seed(self, processes: Iterable[Process]) -> None:
        """Begin with the processes that a scan found."""
        self.tree.seed(processes)

    def push(
        self, delivery: Delivery, before: KernelCounters, after: KernelCounters
    ) -> list[Entry]:
        """One round: the entries that leave, in order.

        ``before`` and ``after`` are the kernel's counters as read before and after the drain.
        """
        events = self.decoder.decode(delivery.data, delivery.spans)
        self.losses.arrive(events)
        self._lost += self.losses.settle(before, delivery.now_ns, self.decoder.errors)
        released = self.reorderer.push(events, self._watermark_ns(delivery))
        entries = self._apply(released, self._lost_until(self.reorderer.watermark_ns))
        if delivery.drained:
            self.imbalance = self._balance.imbalance(before, self.accounted, after)
        return entries

    def flush(self) -> list[Entry]:
        """Let everything go that is held, when nothing more will come."""
        released = self.reorderer.flush()
        lost, self._lost = self._lost, []
        return self._apply(released, lost)

    def _watermark_ns(self, delivery: Delivery) -> int:
        """How far events may leave: not past a gap that is still open, for a loss has its place."""
        watermark_ns = delivery.safe_ns - self._slack_ns
        gap_ns = self.losses.first_gap_ns
        if gap_ns is None or delivery.now_ns - gap_ns > GAP_PATIENCE_NS:
            return watermark_ns
        return min(watermark_ns, gap_ns - 1)

    def _lost_until(self, watermark_ns: int) -> list[Lost]:
        """The losses whose place has been reached."""
        if not self._lost:
            return []
        reached = [lost for lost in self._lost if lost.boottime_ns <= watermark_ns]
        self._lost = [lost for lost in self._lost if lost.boottime_ns > watermark_ns]
        return reached

    def _apply(self, released: list[Event], lost: list[Lost]) -> list[Entry]:
        ordered: list[Event | Lost] = [*released]
        if lost:
            ordered = sorted([*released, *lost], key=by_order)
        duplicates_before = self.tree.duplicate_exits_total
        apply = self.tree.apply
        entries: list[Entry] = []
        for item in ordered:
            entry = item if isinstance(item, Lost) else apply(item)
            if entry is not None:
                entries.append(entry)
        for kind, count in Counter(map(_kind, released)).items():
            self.emitted[kind] += count
        self.emitted[self._exit_kind] -= self.tree.duplicate_exits_total - duplicates_before
        return entries
