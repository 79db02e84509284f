"""agentd.core.loss.recent"""

from __future__ import annotations

from agentd.core.loss.recent import Gaps
from tests.records import lost


def test_what_goes_on_at_some_moment() -> None:
    """A loss belongs to each time that it touches, with both its ends."""
    gaps = Gaps()
    one, two = lost(20, from_ns=10), lost(40, from_ns=30)
    gaps.add(one)
    gaps.add(two)
    assert gaps.within(0, 9) == gaps.within(21, 29) == gaps.within(41, 100) == []
    assert gaps.within(0, 10) == gaps.within(20, 29) == gaps.within(15, 15) == [one]
    assert gaps.within(0, 100) == [one, two]
    assert gaps.last == two


def test_the_oldest_are_forgotten() -> None:
    """There is a bound, and it is known since when nothing was forgotten."""
    gaps = Gaps(kept=2)
    assert (gaps.last, gaps.known_since_ns) == (None, 0)
    for at_ns in (10, 20):
        gaps.add(lost(at_ns, from_ns=at_ns))
    assert gaps.known_since_ns == 0
    gaps.add(lost(30, from_ns=30))
    assert [loss.boottime_ns for loss in gaps.within(0, 100)] == [20, 30]
    assert gaps.known_since_ns == 10
