"""agentd.daemon.health.canary"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agentd.core.batch import Batch
from agentd.core.loss.tracker import KernelCounters
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Image
from agentd.core.wire.events import Event, Lost
from agentd.daemon.health.canary import Canary
from agentd.helpers.client import HelperError
from agentd.helpers.links import ChildLink
from tests.helpers import FakeHelpers
from tests.records import CPUS, counters, execed, exited, fork

IMAGE = Image(b"true", b"", b"", 0)
LIMIT_SECONDS = 0.3
"""For a canary that is not to pass."""
AMPLE_SECONDS = 30.0
LOST = Lost(50, 7, 0, 30, "reserve", None, 40)


def _batch(*entries: Entry) -> Batch:
    return Batch(list(entries), 0, 0)


def _of(event: Event) -> Applied:
    return Applied(event, IMAGE, None, changed=False)


PID = 77
SENDER = 5
BEGUN_NS = 1 << 60
"""Later than any canary of this boot is sent."""


def _life(
    *kinds: Callable[..., Event], tgid: int = PID, parent: int = SENDER, begun_ns: int = BEGUN_NS
) -> list[Applied]:
    return [_of(kind(tgid=tgid, start_boottime_ns=begun_ns, parent_tgid=parent)) for kind in kinds]


class Child(ChildLink):
    """A helper that says it is process 5."""

    pid = SENDER

    def __init__(self) -> None:
        super().__init__(())


def _helpers(answer: Any = (PID,)) -> FakeHelpers:
    helpers = FakeHelpers([answer])
    helpers.child = Child()
    return helpers


class Kernel:
    """Counters that a test moves."""

    def __init__(self) -> None:
        self.attempts: Sequence[int] = (0, 0, 0)
        self.filtered: Sequence[int] = (0, 0, 0)

    def read(self) -> KernelCounters:
        """As they are now."""
        none = counters({})
        rest = (0,) * (CPUS - 1)
        attempts = tuple((count, *rest) for count in self.attempts)
        filtered = tuple((count, *rest) for count in self.filtered)
        return KernelCounters(none.failures, none.seq, attempts, filtered, none.threads)


def _send(meanwhile: Callable[[Canary, Kernel], None], limit_seconds: float) -> tuple[bool, Canary]:
    """A canary, and what happens when the round comes for which it has asked."""
    kernel = Kernel()

    async def main() -> tuple[bool, Canary]:
        sent = Canary(kernel.read, lambda: meanwhile(sent, kernel), _helpers())
        return await sent.send(limit_seconds), sent

    return asyncio.run(main())


def test_its_fork_exec_and_exit_are_wanted() -> None:
    """When all three have been handed on, in order, it has passed."""

    def meanwhile(sent: Canary, kernel: Kernel) -> None:
        sent.written(_batch(*_life(fork, execed)))
        sent.written(_batch(*_life(exited)))

    passed, sent = _send(meanwhile, AMPLE_SECONDS)
    assert passed
    assert (sent.passed_total, sent.missed_total, sent.problem) == (1, 0, "")
    assert sent.latency_seconds > 0


@pytest.mark.parametrize(
    "kinds",
    [(execed, exited), (fork, exited), (fork, execed), (exited,), (exited, execed, fork), ()],
    ids=["no fork", "no exec", "no exit", "exit only", "backwards", "nothing"],
)
def test_two_of_three_are_not_enough(kinds: tuple[Callable[..., Event], ...]) -> None:
    """A program that is detached, or an order that is wrong, lets none pass."""

    def meanwhile(sent: Canary, kernel: Kernel) -> None:
        sent.after_round()
        sent.written(_batch(*_life(*kinds)))

    passed, sent = _send(meanwhile, LIMIT_SECONDS)
    assert not passed
    assert (sent.passed_total, sent.missed_total) == (0, 1)
    assert sent.problem == "not seen within 0.3 s"


def test_others_do_not_count() -> None:
    """Other processes' children, other children of the helper, and those of before prove nothing,
    nor do three events of different children."""

    def meanwhile(sent: Canary, kernel: Kernel) -> None:
        sent.after_round()
        sent.written(_batch(*_life(fork, execed, exited, parent=1)))
        sent.written(_batch(*_life(fork, execed, exited, tgid=PID + 1)))
        sent.written(_batch(*_life(fork, execed, exited, begun_ns=7)))
        for tgid, kind in _MIXED:
            sent.written(_batch(*_life(kind, tgid=tgid)))

    assert not _send(meanwhile, LIMIT_SECONDS)[0]


_MIXED: list[tuple[int, Callable[..., Event]]] = [(1, fork), (2, execed), (3, exited)]


@pytest.mark.parametrize(
    ("filtered", "rounds", "passes"),
    [((1, 1, 1), 1, True), ((1, 0, 1), 1, False), ((0, 1, 1), 1, False), ((1, 1, 1), 0, False)],
    ids=["all", "no exec", "no fork", "no round"],
)
def test_a_filter_leaves_it_out(
    filtered: tuple[int, int, int], rounds: int, *, passes: bool
) -> None:
    """Then the kernel has left out one of each kind, and rounds go on."""

    def meanwhile(sent: Canary, kernel: Kernel) -> None:
        kernel.filtered = filtered
        for _ in range(rounds):
            sent.after_round()

    assert _send(meanwhile, AMPLE_SECONDS if passes else LIMIT_SECONDS)[0] == passes


@pytest.mark.parametrize(
    ("attempts", "told", "passes"),
    [((9, 9, 9), True, True), ((9, 9, 9), False, False), ((9, 0, 9), True, False)],
    ids=["told", "not told", "a program is gone"],
)
def test_in_a_flood_a_loss_that_is_told_is_enough(
    attempts: tuple[int, int, int], *, told: bool, passes: bool
) -> None:
    """Where its events may be among those lost, they are not waited for: nothing is blind."""

    def meanwhile(sent: Canary, kernel: Kernel) -> None:
        kernel.attempts = attempts
        sent.after_round()
        sent.written(_batch(*([LOST] if told else [])))

    assert _send(meanwhile, AMPLE_SECONDS if passes else LIMIT_SECONDS)[0] == passes


def test_its_events_may_come_before_its_pid() -> None:
    """The helper's word and the kernel's come by different ways."""
    helpers = _helpers()

    async def main() -> bool:
        sent = Canary(Kernel().read, lambda: None, helpers)
        sending = asyncio.create_task(sent.send(AMPLE_SECONDS))
        await asyncio.sleep(0)
        sent.written(_batch(*_life(fork, execed, exited)))
        return await sending

    assert asyncio.run(main())


def test_one_that_cannot_be_sent_is_missed() -> None:
    """No process, no descriptor, no helper, no such program: it did not come through."""

    async def main() -> Canary:
        sent = Canary(Kernel().read, lambda: None, _helpers(HelperError("Too many open files")))
        assert not await sent.send(AMPLE_SECONDS)
        return sent

    sent = asyncio.run(main())
    assert (sent.missed_total, sent.problem) == (1, "cannot be sent: Too many open files")
