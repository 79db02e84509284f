"""agentd.core.restart.takeover"""

from __future__ import annotations

from dataclasses import replace

from agentd.core.pipeline import Pipeline
from agentd.core.restart.takeover import Inheritance, Overlap
from agentd.core.tree.process import Applied
from agentd.core.wire.events import Event, Lost
from tests.records import CPUS, FORK, TICK_NS, WIRE, counters, delivery, execed, fork
from tests.records import limits as some_limits

CUT_NS = 1_000_000
BASE = 1 << 40


def test_without_programs_before_ours_nothing_is_left_out() -> None:
    """The usual start."""
    events: list[Event] = [fork(boottime_ns=5)]
    overlap = Overlap()
    assert overlap.without(events) == events
    assert overlap.accounted == 0


def test_the_cut_divides_the_account() -> None:
    """Behind the cut our programs tell; up to it those before them did."""
    before: list[Event] = [fork(boottime_ns=CUT_NS - 500_000, tgid=7)]
    overlap = Overlap(Inheritance(CUT_NS, before))
    ours: list[Event] = [fork(boottime_ns=CUT_NS, tgid=8), fork(boottime_ns=CUT_NS + 1, tgid=9)]
    assert [event.tgid for event in overlap.without(ours)] == [9]
    assert overlap.accounted == -1 + 1


def test_an_event_on_the_cut_is_told_once() -> None:
    """Stamped before it by those programs and behind it by ours: it is recognised."""
    told = execed(boottime_ns=CUT_NS - 1000, tgid=7, cpu=1)
    overlap = Overlap(Inheritance(CUT_NS, [told]))
    again = told._replace(boottime_ns=CUT_NS + 2000, seq=BASE)
    another_cpu = told._replace(boottime_ns=CUT_NS + 2500, cpu=2)
    next_exec = told._replace(boottime_ns=CUT_NS + 200_000)
    assert overlap.without([again, another_cpu, next_exec]) == [another_cpu, next_exec]


def _after_a_change(theirs: list[Event], *losses: Lost) -> Pipeline:
    """A pipeline that has taken over."""
    pipeline = Pipeline(WIRE, CPUS, some_limits(), TICK_NS, hold_until_seeded=True, first_seq=BASE)
    assert pipeline.inherit(Inheritance(CUT_NS, theirs, losses)) == []
    return pipeline


def _told(pipeline: Pipeline, ours: list[Event], attempts: int) -> list[int | Lost]:
    """What leaves in a round that brings these; of events, who they are about."""
    now = counters({(FORK, 0): attempts})
    now = replace(now, seq=tuple(BASE + seq for seq in now.seq))
    entries = pipeline.push(2 * CUT_NS, now, delivery(ours), now)
    return [
        entry.event.tgid if isinstance(entry, Applied) else entry
        for entry in entries
        if isinstance(entry, Applied | Lost)
    ]


def test_the_account_adds_up_behind_a_change() -> None:
    """What was inherited leaves first, with its losses at their place, what is our own when it
    may, and the balance is 0.
    """
    theirs: list[Event] = [
        fork(boottime_ns=CUT_NS - 600, tgid=7, seq=3),
        fork(boottime_ns=CUT_NS - 9, tgid=8),
    ]
    lost = Lost(CUT_NS - 50, 4, 0, 2, "reserve", None, CUT_NS - 600)
    pipeline = _after_a_change(theirs, lost)
    again = theirs[1]._replace(boottime_ns=CUT_NS + 3, seq=BASE)
    own = fork(boottime_ns=CUT_NS + 400_000, tgid=9, seq=BASE + 1)
    pipeline.seed([], CUT_NS)
    assert _told(pipeline, [again, own], 2) == [7, lost, 8]
    assert _told(pipeline, [], 2) == []
    pipeline.overlap.own_waits = False
    assert _told(pipeline, [], 2) == [9]
    assert pipeline.imbalance == 0
    assert pipeline.lost_at_restart == 2


def test_what_waits_stays_in_the_buffer() -> None:
    """Whoever is killed before its own has been told leaves that to the next, scanned or not."""
    pipeline = _after_a_change([])
    before = fork(boottime_ns=CUT_NS - 5, tgid=7, seq=BASE)
    own = fork(boottime_ns=CUT_NS + 400_000, tgid=9, seq=BASE + 1)
    assert _told(pipeline, [before, own], 2) == []
    assert pipeline.finished_drains() == 0
    pipeline.seed([], CUT_NS)
    assert _told(pipeline, [], 2) == []
    assert pipeline.finished_drains() == 0
    assert pipeline.progress(0).next_seq[0] == BASE + 1
    pipeline.overlap.own_waits = False
    assert _told(pipeline, [], 2) == [9]
    assert pipeline.finished_drains() == 3
    assert pipeline.progress(0).next_seq[0] == BASE + 2


def test_a_loss_that_reaches_beyond_the_cut_is_theirs() -> None:
    """It is told before anything of ours."""
    lost = Lost(CUT_NS + 300_000, 4, 0, 2, "reserve", None, CUT_NS - 600)
    pipeline = _after_a_change([], lost)
    own = fork(boottime_ns=CUT_NS + 400_000, tgid=9, seq=BASE)
    pipeline.seed([], CUT_NS)
    assert _told(pipeline, [own], 1) == [lost]
