"""agentd.core.order.watermark"""

from __future__ import annotations

from agentd.core.loss.tracker import LossTracker
from agentd.core.order.watermark import PATIENCE_NS, Watermark
from tests.records import CAUSES, fork


class Stream:
    """A stream of two CPUs, and how far it is complete."""

    def __init__(self) -> None:
        self.losses = LossTracker(2, CAUSES)
        self.watermark = Watermark(self.losses)

    def round(
        self, now_ns: int, seq: tuple[int, int], *arrived: tuple[int, int], drained: bool = True
    ) -> int:
        """One round in which attempts, given by CPU and number, arrived."""
        self.losses.arrive([fork(cpu=cpu, seq=number, boottime_ns=1) for cpu, number in arrived])
        return self.watermark.advance(now_ns, seq, drained=drained)


def test_a_complete_reading_is_safe_at_once() -> None:
    """When all numbers below the counters are there, everything up to the clock's reading is."""
    assert Stream().round(100, (2, 1), (0, 0), (0, 1), (1, 0)) == 100


def test_numbers_beyond_the_reading_do_not_matter() -> None:
    """What was attempted after the counters were read need not be there."""
    assert Stream().round(100, (1, 0), (0, 0), (0, 2)) == 100


def test_a_missing_number_keeps_the_time_back() -> None:
    """One CPU's open number holds up the time of all, until it comes."""
    stream = Stream()
    assert stream.round(100, (1, 2), (0, 0), (1, 1)) == 0
    assert stream.round(200, (2, 2), (0, 1)) == 0
    assert stream.round(300, (2, 2), (1, 0)) == 300


def test_the_oldest_open_reading_counts_when_newer_ones_stay_open() -> None:
    """Under steady load something is always on its way; the time advances all the same."""
    stream = Stream()
    assert stream.round(100, (1, 0)) == 0
    assert stream.round(200, (2, 0), (0, 0)) == 100
    assert stream.round(300, (3, 0), (0, 1)) == 200
    assert stream.round(400, (4, 0), (0, 2)) == 300


def test_a_number_that_never_comes_is_given_up() -> None:
    """After its patience a stream goes on without it, and for good: it does not wait again."""
    stream = Stream()
    stream.round(100, (1, 0))
    assert stream.round(100 + PATIENCE_NS, (1, 0)) == 0
    assert stream.round(101 + PATIENCE_NS, (1, 0)) == 100
    assert stream.round(102 + PATIENCE_NS, (1, 0)) == 102 + PATIENCE_NS


def test_a_number_that_comes_after_all_is_no_repetition() -> None:
    """What was given up and arrives late counts as arrived, once."""
    stream = Stream()
    stream.round(100, (1, 0))
    stream.round(101 + PATIENCE_NS, (1, 0))
    stream.round(102 + PATIENCE_NS, (1, 0), (0, 0))
    assert stream.losses.repeated_total == 0
    stream.round(103 + PATIENCE_NS, (1, 0), (0, 0))
    assert stream.losses.repeated_total == 1


def test_patience_is_endless_while_the_buffer_holds_more() -> None:
    """With a backlog, what is missing is in the buffer still: nothing is given up."""
    stream = Stream()
    stream.round(100, (1, 0), drained=False)
    assert stream.round(100 + 10 * PATIENCE_NS, (1, 0), drained=False) == 0
