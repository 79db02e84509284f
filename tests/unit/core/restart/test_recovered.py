"""agentd.core.restart.recovered"""

from __future__ import annotations

from agentd.core.loss.tracker import KernelCounters, LossTracker
from agentd.core.restart.recovered import recovered
from tests.records import CAUSES, CPUS, FORK, counters, fork


def _counters(attempts: dict[tuple[int, int], int], failed: int = 0) -> KernelCounters:
    return counters(attempts, {(0, 0): failed})


def test_it_goes_on_with_what_the_buffer_holds() -> None:
    """Each CPU begins with its oldest event in the buffer, or behind all attempts without one."""
    events = [fork(cpu=0, seq=5, boottime_ns=70), fork(cpu=0, seq=6, boottime_ns=90)]
    progress = recovered(events, _counters({(FORK, 0): 7, (FORK, 1): 9}), at_ns=100)
    assert progress.next_seq == (5, 9, 0, 0)
    assert progress.watermark_ns == 69
    assert recovered([], _counters({(FORK, 1): 9}), at_ns=100).watermark_ns == 100


def test_what_failed_inside_is_reported_as_lost() -> None:
    """Numbers that are missing between events of the buffer become a loss, older failures none."""
    now = _counters({(FORK, 0): 10}, failed=7)
    events = [fork(cpu=0, seq=seq, boottime_ns=seq) for seq in (5, 8, 9)]
    progress = recovered(events, now, at_ns=100)
    tracker = LossTracker(CPUS, CAUSES)
    tracker.resume(progress)
    tracker.arrive(list(events))
    (loss,) = tracker.settle(now, 100, 0)
    assert (loss.cpu, loss.seq, loss.missing, loss.stage) == (0, 6, 2, "reserve")
    assert not tracker.unreported(now)


def test_events_behind_the_counters_are_no_loss() -> None:
    """What was attempted after the counters were read is in the buffer, and will be counted."""
    events = [fork(cpu=0, seq=seq, boottime_ns=seq) for seq in (8, 9, 10, 11)]
    progress = recovered(events, _counters({(FORK, 0): 10}, failed=3), at_ns=100)
    assert progress.next_seq[0] == 8
    assert progress.settled[0][0] == 3
