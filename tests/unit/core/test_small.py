"""agentd.core.exit_status, histogram and pace"""

from __future__ import annotations

import pytest

from agentd.core.exit_status import Ending, read_exit_code, scale_cpu_times
from agentd.core.histogram import Histogram
from agentd.daemon.batch_delay import ENOUGH_RECORDS, Pace


@pytest.mark.parametrize(
    ("raw", "ending"),
    [
        (0, Ending(0, None, False)),
        (3 << 8, Ending(3, None, False)),
        (255 << 8, Ending(255, None, False)),
        (9, Ending(None, 9, False)),
        (11 | 0x80, Ending(None, 11, True)),
    ],
)
def test_exit_code_as_wait_reads_it(raw: int, ending: Ending) -> None:
    """Status, signal and core flag are those of WIFEXITED and its like."""
    assert read_exit_code(raw) == ending


@pytest.mark.parametrize(
    ("utime", "stime", "runtime", "expected"),
    [(0, 0, 70, (70, 0)), (4, 0, 70, (70, 0)), (0, 4, 70, (0, 70)), (3, 1, 80, (60, 20))],
)
def test_cpu_times_as_getrusage_scales_them(
    utime: int, stime: int, runtime: int, expected: tuple[int, int]
) -> None:
    """The runtime is divided in the proportion of the ticks."""
    assert scale_cpu_times(utime, stime, runtime) == expected


def test_histogram_counts_ages_by_bound() -> None:
    """Ages fall into all buckets whose bound they do not exceed."""
    histogram = Histogram((10, 100))
    histogram.add_ages([100, 900, 990, 1000], 1000)
    assert (histogram.counts, histogram.count, histogram.sum_ns) == ([2, 3], 4, 1010)


def test_pace_slows_down_while_events_keep_coming() -> None:
    """Each round that finds something doubles the delay, up to the bound; one for what is held does
    not count.
    """
    pace = Pace(0.02, 0.1)
    delays = []
    for records in (1, 0, 100, 1, 1):
        pace.after(records, 0.0)
        delays.append(pace.delay_seconds)
    assert delays == [0.04, 0.04, 0.08, 0.1, 0.1]


def test_pace_is_quick_after_a_silence() -> None:
    """What comes after nothing came for longer than the longest delay is taken soon."""
    pace = Pace(0.02, 0.1)
    for _ in range(5):
        pace.after(1, 0.0)
    pace.rested(0.1)
    assert pace.delay_seconds == 0.1
    pace.rested(0.11)
    assert pace.delay_seconds == 0.02


def test_pace_hurries_when_rounds_grow_large() -> None:
    """After a round of more records than pays off the next one comes sooner."""
    pace = Pace(0.02, 0.1)
    for _ in range(4):
        pace.after(ENOUGH_RECORDS, 0.0)
    assert pace.delay_seconds == 0.1
    pace.after(ENOUGH_RECORDS + 1, 0.0)
    assert pace.delay_seconds == 0.05


def test_pace_hurries_when_the_buffer_fills() -> None:
    """A buffer that was filled far wants its next round sooner."""
    pace = Pace(0.02, 0.1)
    for _ in range(4):
        pace.after(1, 0.0)
    pace.after(1, 0.5)
    assert pace.delay_seconds == 0.05
