"""agentd.core.order.reorder, for any arrival."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.order.reorder import Reorderer
from agentd.core.wire.events import Event, by_order
from tests.records import FORCED, LATE, fork

stamps = st.lists(st.integers(1, 1000), max_size=12)
rounds = st.lists(st.tuples(stamps, st.integers(0, 1000)), max_size=8)


def _play(queue: Reorderer, arrivals: list[tuple[list[int], int]]) -> tuple[list[Event], list[int]]:
    """All that came out, and how much was held after each round."""
    out: list[Event] = []
    held = []
    number = 0
    for batch, watermark_ns in arrivals:
        events: list[Event] = []
        for stamp in batch:
            events.append(fork(boottime_ns=stamp, seq=number))
            number += 1
        out += queue.push(events, watermark_ns)
        held.append(queue.held)
    return out + queue.flush(), held


@given(rounds, st.integers(1, 8))
def test_nothing_is_lost_or_doubled(arrivals: list[tuple[list[int], int]], capacity: int) -> None:
    """Whatever the order, the watermarks and the capacity: what goes in comes out, once."""
    out, held = _play(Reorderer(capacity, LATE, FORCED), arrivals)
    assert sorted(event.seq for event in out) == list(range(len(out)))
    assert len(out) == sum(len(batch) for batch, _ in arrivals)
    assert all(count <= capacity for count in held)


@given(rounds, st.integers(1, 8))
def test_all_disorder_is_counted(arrivals: list[tuple[list[int], int]], capacity: int) -> None:
    """An event is flagged exactly if it is counted, and without late events all is sorted."""
    queue = Reorderer(capacity, LATE, FORCED)
    out, _ = _play(queue, arrivals)
    flags = Counter(event.flags & LATE for event in out)
    assert flags[LATE] == queue.late_total
    assert sum(event.flags & FORCED != 0 for event in out) == queue.forced_total
    inversions = sum(b.boottime_ns < a.boottime_ns for a, b in pairwise(out))
    assert inversions <= queue.late_total
    in_time = [event for event in out if not event.flags & LATE]
    assert [e.boottime_ns for e in in_time] == sorted(e.boottime_ns for e in in_time)


@given(st.lists(st.tuples(stamps, st.integers(0, 100)), max_size=8))
def test_sorted_if_nothing_is_later_than_the_slack(batches: list[tuple[list[int], int]]) -> None:
    """If each watermark keeps its promise, everything leaves sorted and nothing is late."""
    base = 0
    queue = Reorderer(1000, LATE, FORCED)
    out: list[Event] = []
    number = 0
    for batch, behind in batches:
        events: list[Event] = [
            fork(boottime_ns=base + stamp, seq=number + i) for i, stamp in enumerate(batch)
        ]
        number += len(batch)
        out += queue.push(events, base - behind)  # all that comes later is younger
        base += max(batch, default=0) if behind == 0 else 0
    out += queue.flush()
    assert queue.late_total == 0
    assert [by_order(event) for event in out] == sorted(by_order(event) for event in out)
