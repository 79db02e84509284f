"""agentd.core.loss.tracker and pipeline, for any history of attempts, failures and rounds."""

from __future__ import annotations

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from agentd.core.loss.balance import Balance
from agentd.core.loss.tracker import LossTracker, Progress
from agentd.core.pipeline import Entry, Pipeline
from agentd.core.tree.process import Applied
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import Event, Lost
from tests.property.simulation import Kernel, actions, play, resume_all
from tests.records import CAUSES, CPUS, FORK, WIRE, delivery, limits


def _item(entry: Entry) -> Event | Lost:
    assert not isinstance(entry, Inferred)
    return entry if isinstance(entry, Lost) else entry.event


Steps = list[tuple[str, int, int, bool]]


@given(actions())
def test_losses_are_exactly_the_failures(steps: Steps) -> None:
    """In the end the lost events name each failed attempt's number once, and no other."""
    kernel, tracker = Kernel(), LossTracker(CPUS, CAUSES)
    lost: list[Lost] = []

    def read() -> None:
        now = kernel.counters()
        events, watermark_ns = kernel.drain()
        tracker.arrive(events)
        lost.extend(tracker.settle(now, watermark_ns, 0))

    for step in steps:
        if play(kernel, step):
            read()
    resume_all(kernel)
    read()
    told = Counter(
        (loss.cpu, seq) for loss in lost for seq in range(loss.seq, loss.seq + loss.missing)
    )
    arrived = {(event.cpu, event.seq) for event in kernel.delivered}
    numbers = {(cpu, seq) for cpu in range(CPUS) for seq in range(kernel.next_seq[cpu])}
    assert set(told) == numbers - arrived
    assert all(count == 1 for count in told.values())
    assert not tracker.unreported(kernel.counters())
    assert tracker.repeated_total == 0


@given(actions())
def test_a_stated_kind_is_right(steps: Steps) -> None:
    """By kind, the losses that state one are never more than the failures of that kind."""
    kernel, tracker = Kernel(), LossTracker(CPUS, CAUSES)
    stated: Counter[tuple[int | None, int]] = Counter()
    for step in [*steps, ("round", 0, 0, False)]:
        if play(kernel, step):
            now = kernel.counters()
            events, watermark_ns = kernel.drain()
            tracker.arrive(events)
            for loss in tracker.settle(now, watermark_ns, 0):
                stated[loss.kind, loss.cpu] += loss.missing
    for (kind, cpu), count in stated.items():
        if kind is not None:
            assert count <= kernel.failures[kind, cpu]


@given(actions(), st.integers(0, 3), st.integers(1, 50))
def test_every_attempt_comes_out_as_event_or_loss(steps: Steps, slack: int, capacity: int) -> None:
    """Through the whole pipeline: attempts are emitted or lost by kind, and the account is 0."""
    kernel = Kernel()
    pipeline = Pipeline(WIRE, CPUS, limits(capacity, slack), 10_000_000)
    entries: list[Entry] = []

    def read() -> None:
        before = kernel.counters()
        events, now_ns = kernel.drain()
        entries.extend(pipeline.push(now_ns, before, delivery(events), kernel.counters()))
        if not (kernel.preempted or kernel.asleep):
            assert pipeline.imbalance == 0

    for step in steps:
        if play(kernel, step):
            read()
    resume_all(kernel)
    read()
    read()
    entries += pipeline.flush()
    lost = sum(entry.missing for entry in entries if isinstance(entry, Lost))
    assert lost == kernel.counters().failures_total
    emitted = Counter(entry.event.kind for entry in entries if isinstance(entry, Applied))
    for kind in range(3):
        failed = sum(kernel.counters().failures[kind])
        assert pipeline.emitted[kind] == emitted[kind]
        assert emitted[kind] + failed == sum(kernel.counters().attempts[kind])
    assert pipeline.imbalance == 0
    if not pipeline.reorderer.forced_total:  # what is forced out early may overtake
        assert pipeline.reorderer.late_total == 0
        stamps = [_item(entry).boottime_ns for entry in entries]
        assert stamps == sorted(stamps)


@given(actions(), st.data())
def test_a_silent_loss_or_doubling_is_an_imbalance(steps: Steps, data: st.DataObject) -> None:
    """An event too few or too many shows in the balance, one round later at most."""
    kernel, balance = Kernel(), Balance()
    for step in steps:
        play(kernel, step)
    resume_all(kernel)
    wrong = data.draw(st.integers(-3, 3).filter(bool))
    now = kernel.counters()
    accounted = max(0, len(kernel.ring) + wrong)
    balance.imbalance(now, accounted, now)
    assert balance.imbalance(now, accounted, now) == abs(accounted - len(kernel.ring))


PARTLY_REACHED: Steps = [
    ("preempt", 0, FORK, True), ("attempt", 0, FORK, False), ("round", 0, 0, False),
    ("resume", 0, 0, False), *[("attempt", 1, FORK, False)] * 6, ("attempt", 0, FORK, True),
    ("round", 0, 0, False),
]  # fmt: skip
"""Of two losses that are resolved at once one has left, and what happened between them, too."""


@given(actions(), actions(), st.integers(0, 40))
@example(PARTLY_REACHED, [], 3)
def test_a_successor_reports_what_its_predecessor_did_not(
    steps: Steps, later: Steps, slack: int
) -> None:
    """Killed after any batch: its successor goes on from the checkpoint and from what the kernel
    kept. Together they report each attempt, as an event or as lost, and the account is 0.
    """
    kernel, reported = Kernel(), set[tuple[int, int]]()
    kept: list[list[Event]] = []

    def run(pipeline: Pipeline, steps: Steps, progress: Progress | None) -> Progress | None:
        unread = [event for events in kept for event in events]
        kept.clear()

        def read() -> None:
            nonlocal progress, unread
            before = kernel.counters()
            events, now_ns = kernel.drain()
            kept.append(unread + events)
            drained = delivery(unread + events)
            unread = []
            _note(reported, pipeline.push(now_ns, before, drained, kernel.counters()))
            if finished := pipeline.finished_drains():
                del kept[:finished]
                progress = pipeline.progress(now_ns)

        for step in steps:
            if play(kernel, step):
                read()
        return progress

    progress = run(Pipeline(WIRE, CPUS, limits(100, slack), 10_000_000), steps, None)
    successor = Pipeline(WIRE, CPUS, limits(100, slack), 10_000_000)
    if progress is not None:
        successor.resume(progress)
    all_arrive: Steps = [(action, 0, 0, False) for action in ("resume", "wake") for _ in range(120)]
    run(successor, [*later, *all_arrive, *[("round", 0, 0, False)] * 3], progress)
    _note(reported, successor.flush())
    numbers = {(cpu, seq) for cpu in range(CPUS) for seq in range(kernel.next_seq[cpu])}
    assert reported == numbers
    assert successor.imbalance == 0


def _note(reported: set[tuple[int, int]], entries: list[Entry]) -> None:
    for item in map(_item, entries):
        count = item.missing if isinstance(item, Lost) else 1
        reported.update((item.cpu, seq) for seq in range(item.seq, item.seq + count))
