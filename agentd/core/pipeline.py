"""One round: decode, reorder, tree, account. What comes out is ready for the sinks.

The only place that knows the order of these steps. Everything a metric shows about them is a
plain int on them, read when somebody asks.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from agentd.core.loss.balance import Balance
from agentd.core.loss.stages import STAGE_RESERVE, STAGE_SKIPPED
from agentd.core.loss.tracker import (
    KernelCounters,
    LossTracker,
    PerCpu,
    Progress,
    causes,
    unread_losses,
)
from agentd.core.loss.waiting import WaitingLosses
from agentd.core.order.reorder import Reorderer
from agentd.core.order.watermark import Watermark
from agentd.core.redact import Redact, redact_nothing
from agentd.core.restart.resumed import unread
from agentd.core.restart.takeover import Inheritance, Overlap
from agentd.core.tree.process import Applied, Process
from agentd.core.tree.reconcile import Inferred, Kinds, Reconciliation, Scan
from agentd.core.tree.tree import Tree, TreeLimits
from agentd.core.wire.decode import Decoder
from agentd.core.wire.delivery import Delivery
from agentd.core.wire.events import BOOTTIME_NS, KIND, NO_CPU, RECORD_BYTES, Event, Lost, by_order
from agentd.core.wire.exec_context import PlaceReader
from agentd.core.wire.header import Wire

Entry: TypeAlias = Applied | Lost | Inferred
"""What leaves the core: an event with its process, a loss at its place, or what it hid."""

_boottime_ns = itemgetter(BOOTTIME_NS)
_FOR_EVER_NS = 1 << 63
_record_bytes = itemgetter(RECORD_BYTES)


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of the pipeline."""

    reorder_capacity: int
    slack_ns: int
    tree: TreeLimits


class _Drain(NamedTuple):
    """What one drain brought."""

    youngest_ns: int
    """The time of its youngest event; 0 if it brought none."""
    ends: PerCpu
    """Its numbers, and those of all drains before it, are below these."""


class Pipeline:
    """The stateful chain from delivery to entries, for one wire contract and host.

    ``hold_until_seeded``: events are taken, but applied only when the tree has been seeded; as
    many as the queue holds. ``filtered``: the kernel tells of some processes only.
    """

    def __init__(
        self,
        wire: Wire,
        cpus: int,
        limits: Limits,
        tick_ns: int,
        *,
        room_stage: str = STAGE_RESERVE,
        redact: Redact = redact_nothing,
        hold_until_seeded: bool = False,
        filtered: bool = False,
        first_seq: int = 0,
    ) -> None:
        kinds = wire.constant("AGENTD_KINDS")
        self.decoder = Decoder(wire, cpus)
        self.reorderer = Reorderer(
            limits.reorder_capacity, wire.constant("AGENTD_LATE"), wire.constant("AGENTD_FORCED")
        )
        self.tree = Tree(limits.tree, tick_ns, redact, filtered=filtered)
        self.causes = causes(kinds, room_stage)
        """What the rows of the counters' failures stand for."""
        self.losses = LossTracker(cpus, self.causes, first_seq)
        self.emitted = [0] * kinds
        """Events that left, by kind; ``lost`` events are not among them."""
        self.inferred = [0] * kinds
        """Events that were concluded from /proc after a loss, by kind."""
        self.lost_at_restart = 0
        """Events that nobody had read when the process before us died, and their buffer with it."""
        self.skipped = [0] * kinds
        """Runs of each kind's program that the kernel left out; not each of them was an event."""
        self.imbalance = 0
        """Events that the account could not explain at the last round; 0 unless there is a bug."""
        self._balance = Balance()
        self._watermark = Watermark(self.losses)
        self.waiting_losses = WaitingLosses()
        names = ("AGENTD_FORK", "AGENTD_EXEC", "AGENTD_EXIT")
        self._kinds = Kinds(*map(wire.constant, names))
        self._reconciliation = Reconciliation(self.tree, self._kinds, PlaceReader(wire))
        self._holding = hold_until_seeded
        if hold_until_seeded:
            self.tree.watched_exits.begin()  # more than the queue holds is applied before
        self._slack_ns = limits.slack_ns
        self._drains: deque[_Drain] = deque()
        self._resumed: Progress | None = None
        self._first_seq = first_seq
        self.overlap = Overlap()

    @property
    def emitted_total(self) -> int:
        """Events that left, of all kinds."""
        return sum(self.emitted)

    @property
    def accounted(self) -> int:
        """Records that arrived, by what became of them."""
        arrived = self.emitted_total + self.tree.duplicate_exits_total + self.decoder.errors
        return arrived + self.reorderer.held + self.carried

    @property
    def carried(self) -> int:
        """Attempts of our programs that processes before us accounted for, less the events of
        other programs that we have reported in their place.
        """
        handed_on = self._resumed.handed_on(self._first_seq) if self._resumed is not None else 0
        return handed_on + self.overlap.accounted

    def waiting(self, counters: KernelCounters) -> bool:
        """Whether something is held or missing that only a further round can settle."""
        held = self.reorderer.held > 0 or self.losses_wait or self.comparing
        return held or self.losses.unreported(counters)

    @property
    def losses_wait(self) -> bool:
        """Whether a loss waits for its place: the account has it, and nobody was told."""
        return bool(self.waiting_losses)

    @property
    def lost_total(self) -> int:
        """Events that ``lost`` events have reported."""
        return self.waiting_losses.total

    @property
    def lost_by_cpu(self) -> Counter[int]:
        """The same, by CPU."""
        return self.waiting_losses.by_cpu

    @property
    def comparing(self) -> bool:
        """Whether a scan is still to be compared; no other may begin."""
        return self._reconciliation.pending

    def set_order(self, capacity: int, slack_ns: int) -> None:
        """Other bounds of the reordering, from the next round on."""
        self.reorderer.capacity, self._slack_ns = capacity, slack_ns

    def resume(self, progress: Progress) -> None:
        """Go on where another process stopped, before the first round."""
        self._resumed = progress
        self.skipped = list(progress.skipped) or self.skipped
        self.losses.resume(progress)
        self.reorderer.resume(progress.watermark_ns)

    def resume_without_buffer(self, progress: Progress, now: KernelCounters, now_ns: int) -> None:
        """The same, where what the other had not read has gone with it: that is lost, and told.

        ``now`` was read before the new buffers were there.
        """
        losses = unread_losses(progress, now, now_ns)
        failed = now.failures_total - sum(map(sum, progress.settled))
        self.lost_at_restart = sum(lost.missing for lost in losses) - failed
        self.waiting_losses.add(losses, None)
        self.resume(Progress(now.seq, now.failures, now_ns, progress.watermark_ns))

    def inherit(self, inheritance: Inheritance) -> list[Entry]:
        """Begin with what other programs left, before the first round; what must leave at once.

        That is nothing, unless there is more than the queue holds.
        """
        self.overlap = Overlap(inheritance)
        events = list(inheritance.events)
        self.waiting_losses.add(list(inheritance.losses), None)
        self.lost_at_restart += sum(lost.missing for lost in inheritance.losses)
        return self._apply(self.reorderer.push(events, 0, sum(map(_record_bytes, events))), [])

    def progress(self, now_ns: int) -> Progress:
        """How far the stream has been handed on."""
        come = self.waiting_losses.before or self._come()
        held = self.reorderer.held_seq()
        next_seq = tuple(min(held.get(cpu, seq), seq) for cpu, seq in enumerate(come.next_seq))
        watermark_ns = self.reorderer.watermark_ns
        return replace(come, next_seq=next_seq, at_ns=now_ns, watermark_ns=watermark_ns)

    def _come(self) -> Progress:
        """How far the stream has come, with what is still held and waits."""
        return replace(self.losses.progress(), skipped=tuple(self.skipped))

    def position(self, now_ns: int) -> Progress:
        """The same, to the event, after ``flush``: what the tree knows, and nothing else."""
        position = self.losses.position(now_ns, self.reorderer.watermark_ns)
        return replace(position, skipped=tuple(self.skipped))

    def finished_drains(self) -> int:
        """How many drains, the oldest first, need not be seen again: all of theirs has left.

        Each is counted once. A first start that waits for its seed has no successor: its programs
        die with it.
        """
        precious = self._resumed is not None or self.overlap.theirs_until_ns > 0
        if self._holding and precious:
            return 0
        finished = 0
        while self._drains and (self._holding or self._is_finished(self._drains[0])):
            self._drains.popleft()
            finished += 1
        return finished

    def _is_finished(self, drain: _Drain) -> bool:
        has_left = drain.youngest_ns <= self.reorderer.watermark_ns
        return has_left and self.waiting_losses.allow(drain.ends)

    def seed(self, processes: Iterable[Process], begun_ns: int) -> None:
        """Begin with what a scan found that began then; what was held for it may leave."""
        self.tree.seed(processes, begun_ns)
        self.tree.watched_exits.end()
        self._holding = False

    def push(
        self, now_ns: int, before: KernelCounters, delivery: Delivery, after: KernelCounters
    ) -> list[Entry]:
        """One round: the entries that leave, in order.

        The arguments stand as they were read: the clock, the kernel's counters, the drain, and
        the counters again.
        """
        events = self.decoder.decode(delivery.data, delivery.spans)
        if self._resumed is not None:
            events = unread(self._resumed, events)
        self.losses.arrive(events)
        events = self.overlap.without(events)
        youngest_ns = max(map(_boottime_ns, events), default=0)
        self._drains.append(_Drain(youngest_ns, self.losses.next_seq))
        if self.losses.unreported(before):
            come = self._come()
            self.waiting_losses.add(self.losses.settle(before, now_ns, self.decoder.errors), come)
        safe_ns = self._watermark.advance(now_ns, before.seq, drained=delivery.drained)
        leave_ns = self.overlap.may_leave_ns(safe_ns - self._slack_ns)
        until_ns = 0 if self._holding else leave_ns
        released = self.reorderer.push(events, until_ns, len(delivery.data))
        entries = self._apply(released, self.waiting_losses.take_until(self.reorderer.watermark_ns))
        for inferred in self._reconciliation.advance(self.reorderer.watermark_ns):
            self.inferred[inferred.kind] += 1
            entries.append(inferred)
        self.tree.expire(self.reorderer.watermark_ns)
        if delivery.drained:
            self.imbalance = self._balance.imbalance(before, self.accounted, after)
        return entries

    def skip(self, runs: Sequence[int], from_ns: int, now_ns: int) -> None:
        """So many runs of each kind's program were left out between two moments.

        They took no number. What would have come of them, an event or none, is not known, so this
        is the most that was lost.
        """
        come, losses = self._come(), list[Lost]()
        for kind, count in enumerate(runs):
            if count:
                first = self._first_seq + self.skipped[kind]
                self.skipped[kind] += count
                losses.append(Lost(now_ns, first, NO_CPU, count, STAGE_SKIPPED, kind, from_ns))
        self.waiting_losses.add(losses, come)

    def offer(self, scan: Scan) -> None:
        """Compare a scan as soon as all events up to its end have been applied, a slice a round.

        ``watched_exits`` of the tree must have begun when the scan did.
        """
        self._reconciliation.offer(scan)

    def flush(self) -> list[Entry]:
        """Let everything go that is held, when nothing more will come."""
        released = self.reorderer.flush()
        self._drains = deque([_Drain(0, ())] * len(self._drains))
        return self._apply(released, self.waiting_losses.take_until(_FOR_EVER_NS))

    def _apply(self, released: list[Event], lost: list[Lost]) -> list[Entry]:
        ordered: Iterable[Event | Lost] = released
        if lost:
            lost.sort(key=by_order)
            for loss in lost:
                self.tree.doubts.lose(loss)
            ordered = heapq.merge(released, lost, key=by_order)
        tree, emitted = self.tree, self.emitted
        entries: list[Entry] = []
        for item in ordered:
            if isinstance(item, Lost):
                entries.append(item)
                continue
            applied = tree.apply(item)
            if applied is not None:
                entries.append(applied)
                emitted[item[KIND]] += 1
        return entries
