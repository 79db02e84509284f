"""agentd.canary"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Sequence

import pytest

from agentd import canary
from agentd.canary import Canary
from agentd.core.accounting import KernelCounters
from agentd.core.batch import Batch
from agentd.core.event import Event, Lost
from agentd.core.pipeline import Entry
from agentd.core.process import Applied, Image
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


def _life(*kinds: Callable[..., Event], parent: int | None = None) -> list[Applied]:
    parent = os.getpid() if parent is None else parent
    return [_of(kind(tgid=77, start_boottime_ns=7, parent_tgid=parent)) for kind in kinds]


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
        sent = Canary(kernel.read, lambda: meanwhile(sent, kernel))
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
    """Other processes' children, and three events of different children, prove nothing."""

    def meanwhile(sent: Canary, kernel: Kernel) -> None:
        sent.after_round()
        sent.written(_batch(*_life(fork, execed, exited, parent=1)))
        own = os.getpid()
        sent.written(_batch(*(_of(kind(tgid=n, parent_tgid=own)) for n, kind in _MIXED)))

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


def _nothing(sent: Canary, kernel: Kernel) -> None:
    """Nobody gets to this."""


def test_without_a_file_descriptor_it_is_missed() -> None:
    """Somebody who has taken them all ends nothing; it is one that did not come through."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> Canary:
        sent = Canary(Kernel().read, lambda: None)
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, hard))
        try:
            assert not await sent.send(AMPLE_SECONDS)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return sent

    sent = asyncio.run(main())
    assert (sent.missed_total, sent.problem) == (1, "cannot be sent: Too many open files")


def test_what_is_not_there_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a program that cannot be run."""
    monkeypatch.setattr(canary, "COMMAND", "/no/such/program")
    passed, sent = _send(_nothing, AMPLE_SECONDS)
    assert not passed
    assert sent.problem == "cannot be sent: No such file or directory"
