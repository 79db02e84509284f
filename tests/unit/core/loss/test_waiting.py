"""agentd.core.loss.waiting"""

from __future__ import annotations

from agentd.core.loss.tracker import Progress
from agentd.core.loss.waiting import WaitingLosses
from agentd.core.wire.events import NO_CPU, Lost

BEFORE = [Progress((number, number), (), number, number) for number in range(100)]


def test_very_many_become_one_a_cpu() -> None:
    """While nothing leaves, as at the start: their sum stays right, each is between the first and
    the last, and a successor finds them again from before the first.
    """
    waiting = WaitingLosses(capacity=20)
    for number in range(100):
        losses = [
            Lost(10 + number, 5 * number, number % 2, 3, "reserve", number % 3, 9 + number),
            Lost(10 + number, number, NO_CPU, 1, "skipped", number % 2, 5),
        ]
        waiting.add(losses, BEFORE[number])
        assert len(waiting) <= 20 + 2
        assert waiting.before is BEFORE[0]
    assert waiting.take_until(108) != []
    left = waiting.take_until(1000)
    assert not waiting
    assert len(waiting) == 0
    assert waiting.by_cpu == {0: 150, 1: 150, NO_CPU: 100}
    assert all(lost.from_boottime_ns < lost.boottime_ns for lost in left)


def test_what_is_joined_has_what_all_have_in_common() -> None:
    """A stage or a kind that is not that of all is mixed, or none."""
    waiting = WaitingLosses(capacity=3)
    waiting.add([Lost(5, 7, 0, 1, "reserve", 1, 2), Lost(9, 2, 0, 4, "reserve", 1, 6)], BEFORE[1])
    waiting.add([Lost(6, 3, 1, 1, "reserve", 1, 4), Lost(8, 8, 1, 1, "output", 2, 3)], BEFORE[2])
    assert waiting.take_until(9) == [
        Lost(9, 2, 0, 5, "reserve", 1, 2),
        Lost(8, 3, 1, 2, "mixed", None, 3),
    ]
