"""agentd.core.accounting and pipeline, for any history of attempts, failures and rounds."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.accounting import LossTracker
from agentd.core.balance import Balance
from agentd.core.event import Event, Lost
from agentd.core.pipeline import Entry, Pipeline
from agentd.core.process import Applied
from agentd.core.reconcile import Inferred
from tests.property.simulation import Kernel, actions, play, resume_all
from tests.records import CAUSES, CPUS, WIRE, delivery, limits


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
