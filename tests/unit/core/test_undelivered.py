"""agentd.core.undelivered"""

from __future__ import annotations

from agentd.core.loss.tracker import Progress
from agentd.core.tree.process import Applied, Image
from agentd.core.undelivered import Untold, untold_by
from agentd.core.wire.events import NO_CPU, Lost
from tests.records import exited

IMAGE = Image(b"true", b"", b"", 0)


def _applied(seq: int, cpu: int, boottime_ns: int) -> Applied:
    event = exited(seq=seq, cpu=cpu, boottime_ns=boottime_ns)
    return Applied(event, IMAGE, None, changed=False)


def test_one_loss_a_cpu_between_first_and_last() -> None:
    """Events and losses of one CPU become one loss, from the first to the last."""
    untold = Untold.of([_applied(4, 0, 10), _applied(9, 1, 20), _applied(5, 0, 30)])
    untold.add(Untold.of([Lost(60, 6, 0, 8, "reserve", 1, 40)]))
    assert untold.losses() == [
        Lost(20, 9, 1, 1, "sink", None, 20),
        Lost(60, 4, 0, 10, "sink", None, 10),
    ]
    assert untold.total == 11


def test_a_successor_knows_what_was_not_told() -> None:
    """The rows of the ledger say again what was dropped, CPU by CPU, and what has no CPU."""
    skipped = Lost(60, 6, NO_CPU, 8, "skipped", 1, 40)
    rows = Untold.of([_applied(4, 2, 10), skipped, _applied(5, 2, 30)]).rows(3)
    assert rows == ((0, 0, 4, 6), (0, 0, 2, 8))
    progress = Progress((9, 9, 9), (), at_ns=77, watermark_ns=70, untold=rows)
    assert untold_by(progress) == [
        Lost(77, 4, 2, 2, "sink", None, 77),
        Lost(77, 6, NO_CPU, 8, "sink", None, 77),
    ]


def test_nothing_dropped_is_nothing_told() -> None:
    """No rows, and rows of zeros, are no losses."""
    assert untold_by(Progress((9,), (), 1, 1)) == []
    assert untold_by(Progress((9,), (), 1, 1, ((0,), (0,)))) == []
