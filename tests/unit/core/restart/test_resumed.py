"""agentd.core.restart.resumed, and the position of a planned end."""

from __future__ import annotations

from agentd.core.pipeline import Pipeline
from agentd.core.tree.process import Applied
from agentd.core.wire.events import Event
from tests.records import CPUS, EXIT, FORK, WIRE, counters, delivery, exited, fork, limits

KEY = {"tgid": 7, "start_boottime_ns": 5}


def _pipeline() -> Pipeline:
    return Pipeline(WIRE, CPUS, limits(100), 10_000_000)


def _fork(seq: int) -> Event:
    return fork(seq=seq, boottime_ns=10 + seq, tgid=100 + seq, start_boottime_ns=10 + seq)


def _numbers(entries: list[object]) -> list[int]:
    return [entry.event.seq for entry in entries if isinstance(entry, Applied)]


def test_what_was_applied_is_not_applied_again() -> None:
    """Whatever of it comes again; what was still on its way is."""
    first, second = _pipeline(), _pipeline()
    now = counters({(FORK, 0): 5})
    told = first.push(30, now, delivery([_fork(0), _fork(1), _fork(3)]), now)
    told += first.flush()
    assert _numbers([*told]) == [0, 1, 3]
    position = first.position(40)
    assert (position.next_seq[0], position.awaited) == (4, ((0, 2, 1),))
    second.resume(position)
    everything = delivery([_fork(seq) for seq in range(5)])
    rest = second.push(50, now, everything, now)
    assert _numbers([*rest]) == [2, 4]
    second.push(60, now, delivery([]), now)
    assert second.imbalance == 0
    assert second.losses.repeated_total == 0


def test_a_loss_that_was_reported_is_not_reported_again() -> None:
    """Nor is its gap awaited, though something before it still is."""
    first, second = _pipeline(), _pipeline()
    lost_one = counters({(FORK, 0): 4}, {(FORK, 0): 1})
    told = first.push(30, lost_one, delivery([_fork(0), _fork(1), _fork(3)]), lost_one)
    told += first.flush()
    assert first.lost_total == 1
    position = first.position(40)
    assert (position.next_seq[0], position.awaited) == (4, ())
    second.resume(position)
    rest = second.push(50, lost_one, delivery([_fork(3)]), lost_one)
    assert rest == []
    second.push(60, lost_one, delivery([]), lost_one)
    assert (second.lost_total, second.imbalance) == (0, 0)


def test_an_exit_is_reported_by_whoever_had_not_applied_it() -> None:
    """And not taken for a second one."""
    first, second = _pipeline(), _pipeline()
    forked = counters({(FORK, 0): 1})
    first.push(30, forked, delivery([fork(seq=0, boottime_ns=10, **KEY)]), forked)
    position = first.position(40)
    second.resume(position)
    ended = counters({(FORK, 0): 1, (EXIT, 0): 1})
    (entry,) = second.push(50, ended, delivery([exited(seq=1, boottime_ns=45, **KEY)]), ended)
    assert isinstance(entry, Applied)
    assert second.tree.duplicate_exits_total == 0
