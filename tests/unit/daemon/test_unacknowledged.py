"""agentd.daemon.unacknowledged"""

from __future__ import annotations

from collections import deque

from agentd.core.loss.tracker import Progress
from agentd.daemon.unacknowledged import LEAVING_MAX, Leaving, bounded


def _progress(number: int) -> Progress:
    return Progress((number,), (), number, number)


def test_checkpoints_that_wait_are_bounded() -> None:
    """However long an output takes nothing: no drain is forgotten, and the newest checkpoint of
    those that became one stands where all of them are written.
    """
    leaving: deque[Leaving] = deque()
    for number in range(1, 10 * LEAVING_MAX):
        leaving.append(Leaving(number, 1, _progress(number)))
        leaving = bounded(leaving)
        assert len(leaving) <= LEAVING_MAX
    assert sum(one.drains for one in leaving) == 10 * LEAVING_MAX - 1
    done = 0
    for one in leaving:
        done += one.drains
        assert one == Leaving(done, one.drains, _progress(done))
