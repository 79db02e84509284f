"""agentd.core.loss.tracker"""

from __future__ import annotations

from agentd.core.loss.balance import Balance
from agentd.core.loss.tracker import KernelCounters, LossTracker
from agentd.core.wire.events import Event, Lost
from tests.records import CAUSES, CPUS, EXEC, EXIT, FORK, counters, fork


def _tracker(*seqs: int, cpu: int = 0) -> LossTracker:
    tracker = LossTracker(CPUS, CAUSES)
    tracker.arrive(_events(*seqs, cpu=cpu))
    return tracker


def _events(*seqs: int, cpu: int = 0) -> list[Event]:
    return [fork(seq=seq, cpu=cpu, boottime_ns=100 + seq) for seq in seqs]


def _settle(tracker: LossTracker, now: KernelCounters) -> list[Lost]:
    return tracker.settle(now, 500, 0)


def test_a_gap_that_a_failure_explains_is_a_loss() -> None:
    """Missing numbers become a lost event with place, count and kind."""
    tracker = _tracker(0, 3, cpu=1)
    (lost,) = _settle(tracker, counters({(FORK, 1): 4}, {(FORK, 1): 2}))
    assert lost == Lost(103, 1, 1, 2, "reserve", FORK, 100)
    assert _settle(tracker, counters({(FORK, 1): 4}, {(FORK, 1): 2})) == []


def test_a_gap_without_a_failure_waits() -> None:
    """A number that is on its way is no loss, and closes the gap when it comes."""
    tracker = _tracker(0, 2)
    now = counters({(FORK, 0): 3})
    assert _settle(tracker, now) == []
    assert tracker.unreported(now)
    tracker.arrive(_events(1))
    assert not tracker.unreported(now)
    assert tracker.repeated_total == 0


def test_failures_after_the_last_event_are_a_loss() -> None:
    """Where no later event shows the gap, the attempt counter does."""
    tracker = _tracker(0)
    now = counters({(EXIT, 0): 3}, {(EXIT, 0): 2})
    (lost,) = _settle(tracker, now)
    assert (lost.seq, lost.missing, lost.to_boottime_ns, lost.kind) == (1, 2, 500, EXIT)


def test_mixed_failures_have_no_kind() -> None:
    """Where failures of several kinds may explain a gap, no kind is claimed."""
    (lost,) = _settle(_tracker(2), counters({(FORK, 0): 3}, {(FORK, 0): 1, (EXEC, 0): 1}))
    assert lost.kind is None


def test_a_kind_is_known_again_after_a_mixed_loss() -> None:
    """Once all failures have been told, the next one's kind is known."""
    tracker = _tracker(2)
    _settle(tracker, counters({(FORK, 0): 3}, {(FORK, 0): 1, (EXEC, 0): 1}))
    tracker.arrive(_events(4))
    (lost,) = _settle(tracker, counters({(FORK, 0): 5}, {(FORK, 0): 1, (EXEC, 0): 2}))
    assert lost.kind == EXEC


def test_an_attempt_on_its_way_is_not_taken_for_the_failure() -> None:
    """With more missing than failed, nothing is claimed until it is certain which."""
    tracker = _tracker(0, 2, 4)
    now = counters({(FORK, 0): 5}, {(FORK, 0): 1})
    assert _settle(tracker, now) == []
    tracker.arrive(_events(1))
    (lost,) = _settle(tracker, now)
    assert (lost.seq, lost.missing) == (3, 1)


def test_failures_of_attempts_after_the_reading_wait() -> None:
    """A gap of numbers that were taken after the counters were read is left for a later round."""
    tracker = _tracker(0, 1, 5)
    (lost,) = _settle(tracker, counters({(FORK, 0): 3}, {(FORK, 0): 1}))
    assert (lost.seq, lost.missing) == (2, 1)
    (lost,) = _settle(tracker, counters({(FORK, 0): 6}, {(FORK, 0): 3}))
    assert (lost.seq, lost.missing) == (3, 2)


def test_a_record_that_was_not_believed_is_a_loss_of_its_stage() -> None:
    """A gap that a decode error explains is told as such."""
    tracker = _tracker(0, 2)
    (lost,) = tracker.settle(counters({(FORK, 0): 3}), 500, 1)
    assert (lost.stage, lost.missing, lost.kind) == ("decode", 1, None)


def test_a_number_that_comes_twice_is_counted() -> None:
    """A repeated attempt number is a bug, and counted as one."""
    assert _tracker(0, 1, 1).repeated_total == 1


def test_balance_allows_for_what_is_on_its_way() -> None:
    """Attempts since the last round may still be missing; older ones may not."""
    balance = Balance()
    ten, twelve = counters({(FORK, 0): 10}), counters({(FORK, 0): 12})
    assert balance.imbalance(ten, 8, ten) == 0
    assert balance.imbalance(twelve, 10, twelve) == 0
    assert balance.imbalance(twelve, 11, twelve) == 1


def test_balance_sees_what_was_never_attempted() -> None:
    """More events than attempts are an imbalance at once."""
    ten = counters({(FORK, 0): 10}, {(FORK, 0): 1})
    assert Balance().imbalance(ten, 11, ten) == 2


def test_a_loss_does_not_end_before_it_began() -> None:
    """Number 0 was preempted before it was stamped; 1 failed and 2 was stamped meanwhile."""
    tracker = LossTracker(CPUS, CAUSES)
    tracker.arrive([fork(seq=0, boottime_ns=150), fork(seq=2, boottime_ns=120)])
    (loss,) = tracker.settle(counters({(FORK, 0): 3}, {(FORK, 0): 1}), 500, 0)
    assert (loss.seq, loss.missing) == (1, 1)
    assert loss.from_boottime_ns <= loss.to_boottime_ns == 120
