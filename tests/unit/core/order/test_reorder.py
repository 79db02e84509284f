"""agentd.core.order.reorder"""

from __future__ import annotations

import pytest

import agentd.core.order.reorder
from agentd.core.order.reorder import Reorderer
from agentd.core.wire.events import Event
from tests.records import FORCED, LATE, fork


def _queue(capacity: int = 100) -> Reorderer:
    return Reorderer(capacity, LATE, FORCED)


def _at(*stamps: int) -> list[Event]:
    return [fork(boottime_ns=stamp, seq=i) for i, stamp in enumerate(stamps)]


def _stamps(events: list[Event]) -> list[int]:
    return [event.boottime_ns for event in events]


def test_disorder_within_a_round_is_put_right() -> None:
    """What comes in any order leaves in order, up to the watermark."""
    queue = _queue()
    assert _stamps(queue.push(_at(30, 10, 20, 40), 30)) == [10, 20, 30]
    assert queue.held == 1
    assert (queue.inversions_in_total, queue.inversions_out_total) == (1, 0)


def test_held_events_leave_with_a_later_watermark() -> None:
    """An event beyond the watermark waits, and needs no new event to leave."""
    queue = _queue()
    assert queue.push(_at(50), 40) == []
    assert _stamps(queue.push([], 50)) == [50]


def test_a_late_event_is_flagged_and_released() -> None:
    """What comes behind the watermark is counted, flagged and still goes out."""
    queue = _queue()
    queue.push(_at(100), 100)
    (late,) = queue.push(_at(90), 110)
    assert late.flags == LATE
    assert (queue.late_total, queue.inversions_out_total) == (1, 1)


def test_above_capacity_the_oldest_are_forced() -> None:
    """A full queue lets its oldest events go, counted and flagged."""
    queue = _queue(capacity=2)
    out = queue.push(_at(10, 40, 30, 20), 5)
    assert _stamps(out) == [10, 20]
    assert {event.flags for event in out} == {FORCED}
    assert (queue.forced_total, queue.held) == (2, 2)


def test_equal_stamps_are_ordered_by_cpu_and_number() -> None:
    """Events of one instant leave by CPU, then by attempt number."""
    events: list[Event] = [
        fork(boottime_ns=1, cpu=1, seq=5), fork(boottime_ns=1, cpu=0, seq=9),
        fork(boottime_ns=1, cpu=0, seq=8),
    ]  # fmt: skip
    assert [(e.cpu, e.seq) for e in _queue().push(events, 1)] == [(0, 8), (0, 9), (1, 5)]


def test_the_watermark_never_goes_back() -> None:
    """An older watermark than the last one changes nothing."""
    queue = _queue()
    queue.push([], 100)
    queue.push([], 50)
    assert queue.watermark_ns == 100


def test_flush_lets_everything_go() -> None:
    """At the end nothing is held."""
    queue = _queue()
    queue.push(_at(50, 40), 0)
    assert _stamps(queue.flush()) == [40, 50]
    assert queue.held == 0


def test_above_its_bytes_the_oldest_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few events may be large; what is left is half full at most, and counted by its records."""
    monkeypatch.setattr(agentd.core.order.reorder, "_HELD_BYTES_MAX", 10_000)
    queue, size_bytes = Reorderer(1000, LATE, FORCED), fork().record_bytes
    released = 0
    for stamp in range(10, 400):
        released += len(queue.push(_at(stamp), 0, size_bytes))
        assert queue.held * size_bytes <= queue.held_bytes <= 10_000
    assert released == queue.forced_total == 390 - queue.held > 0
    queue.push([], 1000, 0)
    assert (queue.held, queue.held_bytes) == (0, 0)


def test_bytes_that_have_left_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue through which much goes, and in which little waits, forces nothing."""
    monkeypatch.setattr(agentd.core.order.reorder, "_HELD_BYTES_MAX", 10_000)
    queue = _queue()
    for stamp in range(10, 1000):
        queue.push(_at(stamp), stamp - 2, fork().record_bytes)
    assert (queue.forced_total, queue.held) == (0, 2)
