"""agentd.core.tree.uncertainty"""

from __future__ import annotations

import pytest

from agentd.core.tree.process import Doubt, Image, Key, Process, Unknown
from agentd.core.tree.uncertainty import Doubts
from tests.records import lost

IMAGE = Image(b"x", b"/x", b"x\0", 1)


def _process(verified_ns: int) -> Process:
    return Process((5, 50), (1, 0), IMAGE, executed=True, verified_ns=verified_ns)


def test_without_a_loss_nothing_is_doubted() -> None:
    """Whenever it was verified, and however little is known of it."""
    doubts = Doubts(1, filtered=False)
    assert not doubts.is_suspect(_process(0))
    assert doubts.of(_process(0), _process(0), (1, 0)) is None


def test_what_was_verified_before_a_loss_is_suspect() -> None:
    """Until it is verified again; a smaller loss after a greater one takes nothing back."""
    doubts = Doubts(1, filtered=False)
    doubts.lose(lost(100))
    doubts.lose(lost(90))
    assert [doubts.is_suspect(_process(ns)) for ns in (99, 100, 101)] == [True, False, False]
    assert doubts.of(_process(99), _process(100), (1, 0)) == Doubt(True, False, "")
    assert doubts.of(None, _process(99), (1, 0)) == Doubt(False, True, "")


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ((0, 0), Unknown.KNOWN),
        ((1, 9), Unknown.BEFORE_START),
        ((2, 50), Unknown.LOST),
        ((3, 101), Unknown.DISORDER),
        ((4, 9), Unknown.EVICTED),
    ],
)
def test_why_somebody_is_not_known(key: Key, why: str) -> None:
    """By what is known of the moment when it began, unless it was evicted."""
    doubts = Doubts(1, filtered=False)
    doubts.begun_ns = 10
    doubts.lose(lost(100))
    doubts.evict((4, 9))
    assert doubts.why_unknown(key) == why
    assert doubts.of(None, None, key) == (Doubt(False, False, why) if why else None)


def test_who_is_outside_the_filter() -> None:
    """With a filter, who began later and was not lost is none of ours."""
    doubts = Doubts(1, filtered=True)
    doubts.begun_ns = 10
    doubts.lose(lost(20))
    assert [doubts.why_unknown((1, start)) for start in (9, 15, 21)] == [
        Unknown.BEFORE_START,
        Unknown.LOST,
        Unknown.OUTSIDE,
    ]


def test_the_evicted_are_known_to_the_tick() -> None:
    """As /proc shows those that still live."""
    doubts = Doubts(10, filtered=False)
    doubts.evict((7, 123))
    assert doubts.why_unknown((7, 120)) == Unknown.EVICTED
    assert doubts.why_unknown((7, 130)) == Unknown.DISORDER
