"""agentd.core.overlap"""

from __future__ import annotations

from dataclasses import replace

from agentd.core.event import Event, Lost
from agentd.core.overlap import Inheritance, Overlap
from agentd.core.pipeline import Pipeline
from agentd.core.process import Applied
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


def test_the_account_adds_up_behind_a_change() -> None:
    """What was inherited leaves first, with its losses at their place, and the balance is 0."""
    pipeline = Pipeline(WIRE, CPUS, some_limits(), TICK_NS, hold_until_seeded=True, first_seq=BASE)
    theirs = [fork(boottime_ns=CUT_NS - 600, tgid=7, seq=3), fork(boottime_ns=CUT_NS - 9, tgid=8)]
    lost = Lost(CUT_NS - 50, 4, 0, 2, "reserve", None, CUT_NS - 600)
    assert pipeline.inherit(Inheritance(CUT_NS, theirs, [lost])) == []
    ours = [
        theirs[1]._replace(boottime_ns=CUT_NS + 3, seq=BASE),
        fork(boottime_ns=CUT_NS + 400_000, tgid=9, seq=BASE + 1),
    ]
    pipeline.seed([], CUT_NS)
    now = counters({(FORK, 0): 2})
    now = replace(now, seq=tuple(BASE + seq for seq in now.seq))
    out = []
    for _ in range(2):
        out += pipeline.push(2 * CUT_NS, now, delivery([*ours]), now)
        ours = []
    told = [entry.event.tgid if isinstance(entry, Applied) else entry for entry in out]
    assert told == [7, lost, 8, 9]
    assert pipeline.imbalance == 0
    assert pipeline.lost_at_restart == 2
