"""agentd.core.pipeline"""

from __future__ import annotations

from agentd.core.pipeline import Pipeline
from agentd.core.tree.process import Applied, Image, Notes, Process
from agentd.core.wire.events import Event, Lost
from tests.records import CPUS, EXIT, FORK, WIRE, counters, delivery, exited, fork, limits


def _pipeline(slack_ns: int = 0) -> Pipeline:
    return Pipeline(WIRE, CPUS, limits(100, slack_ns), 10_000_000)


def test_a_round_from_records_to_entries() -> None:
    """Records of two CPUs come out in order with their processes, and are counted by kind."""
    pipeline = _pipeline()
    events: list[Event] = [fork(boottime_ns=20, tgid=5), exited(boottime_ns=10, cpu=1, tgid=4)]
    now = counters({(FORK, 0): 1, (EXIT, 1): 1})
    first, second = pipeline.push(30, now, delivery(events), now)
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert (first.event.tgid, second.event.tgid) == (4, 5)
    assert pipeline.emitted == [1, 0, 1]
    assert not pipeline.waiting(now)


def test_slack_holds_what_is_fresh() -> None:
    """Events within the slack wait for the next round, and the pipeline says so."""
    pipeline = _pipeline(slack_ns=15)
    now = counters({(FORK, 0): 1})
    assert pipeline.push(30, now, delivery([fork(boottime_ns=20)]), now) == []
    assert pipeline.waiting(now)
    assert len(pipeline.push(40, now, delivery([]), now)) == 1


def test_a_loss_stands_where_it_happened() -> None:
    """A lost event comes before the event that shows the gap."""
    pipeline = _pipeline()
    events = [fork(boottime_ns=10, seq=0), fork(boottime_ns=20, seq=2)]
    now = counters({(FORK, 0): 3}, {(FORK, 0): 1})
    entries = pipeline.push(30, now, delivery(list(events)), now)
    assert [type(entry) for entry in entries] == [Applied, Lost, Applied]
    assert pipeline.imbalance == 0


def test_losses_without_end_give_room_back() -> None:
    """Where each batch finds a new loss, drains are finished all the same: else the buffer would
    stay full, and nothing would ever arrive again.
    """
    pipeline = _pipeline(slack_ns=15)
    happened, failed, finished = 0, 0, []
    for batch in range(1, 9):
        happened, failed = happened + 2, failed + 1
        now = counters({(FORK, 0): happened}, {(FORK, 0): failed})
        arrived: list[Event] = [fork(boottime_ns=batch * 20 - 5, seq=happened - 2, tgid=batch)]
        pipeline.push(batch * 20, now, delivery(arrived), now)
        finished.append(pipeline.finished_drains())
    assert sum(finished) >= 6
    pipeline.flush()
    assert (pipeline.lost_total, pipeline.emitted_total) == (8, 8)


def test_a_loss_that_comes_last_leaves_with_the_rest() -> None:
    """A loss that no batch resolved, as an older one waited, is reported at the end."""
    pipeline = _pipeline(slack_ns=1000)
    for attempts in (1, 2):
        now = counters({(FORK, 0): attempts}, {(FORK, 0): attempts})
        assert pipeline.push(attempts * 20, now, delivery([]), now) == []
    assert [entry.missing for entry in pipeline.flush() if isinstance(entry, Lost)] == [1, 1]


def test_a_duplicate_exit_is_accounted_for() -> None:
    """A dropped second exit is neither emitted nor missing."""
    pipeline = _pipeline()
    events = [exited(boottime_ns=10, seq=0), exited(boottime_ns=11, seq=1)]
    now = counters({(EXIT, 0): 2})
    for _ in range(2):
        pipeline.push(30, now, delivery(list(events)), now)
        events = []
    assert pipeline.emitted == [0, 0, 1]
    assert (pipeline.accounted, pipeline.imbalance) == (2, 0)


def test_a_record_that_vanishes_is_an_imbalance() -> None:
    """An attempt of which nothing came shows one round later."""
    pipeline = _pipeline()
    now = counters({(FORK, 0): 1})
    pipeline.push(30, now, delivery([]), now)
    assert pipeline.imbalance == 0
    pipeline.push(40, now, delivery([]), now)
    assert pipeline.imbalance == 1


def test_an_open_gap_holds_the_stream() -> None:
    """While a number is missing, events wait until it comes or is known to be lost."""
    pipeline = _pipeline()
    now = counters({(FORK, 0): 3})
    events: list[Event] = [fork(boottime_ns=10, seq=0), fork(boottime_ns=20, seq=2)]
    assert pipeline.push(30, now, delivery(events), now) == []
    later = counters({(FORK, 0): 3}, {(FORK, 0): 1})
    entries = pipeline.push(40, later, delivery([]), later)
    assert [type(entry) for entry in entries] == [Applied, Lost, Applied]


def test_a_gap_that_stays_open_does_not_hold_up_the_stream() -> None:
    """A gap that nothing explains is passed by after a while."""
    pipeline = _pipeline()
    now = counters({(FORK, 0): 3})
    pipeline.push(30, now, delivery([fork(boottime_ns=20, seq=2)]), now)
    assert len(pipeline.push(2_000_000_000, now, delivery([]), now)) == 1


def test_flush_holds_nothing_back() -> None:
    """At the end everything held goes out."""
    pipeline = _pipeline(slack_ns=1000)
    now = counters({(FORK, 0): 1})
    pipeline.push(30, now, delivery([fork(boottime_ns=20)]), now)
    assert len(pipeline.flush()) == 1


def test_events_wait_for_the_seed() -> None:
    """What happens while /proc is being read is applied to what was found there, in order."""
    pipeline = Pipeline(WIRE, CPUS, limits(100), 10_000_000, hold_until_seeded=True)
    now = counters({(FORK, 0): 1, (EXIT, 0): 1})
    events: list[Event] = [
        fork(boottime_ns=10, seq=0, parent_tgid=7, parent_start_boottime_ns=3),
        exited(boottime_ns=20, seq=1, tgid=7, start_boottime_ns=3),
    ]
    assert pipeline.push(30, now, delivery(events), now) == []
    assert pipeline.waiting(now)
    image = Image(b"sh", b"/bin/sh", b"sh\0", 1)
    pipeline.seed([Process((7, 0), (1, 0), image, executed=True, coarse=True)], 5)
    first, second = pipeline.push(40, now, delivery([]), now)
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert first.parent_image == second.image == image._replace(notes=Notes.FROM_PROC)
    assert sum(pipeline.tree.misses.values()) == 0
