"""agentd.daemon.reconciler"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentd.core.pipeline import Pipeline
from agentd.core.steps import no_journal
from agentd.core.tree.process import SOMEBODY
from agentd.core.wire.events import Lost
from agentd.daemon import reconciler
from agentd.daemon.reconciler import Reconciler, rest_seconds
from agentd.helpers.proc_scan import Scanned
from agentd.host import clock
from tests.records import CPUS, TICK_NS, WIRE, counters, delivery, exited, fork, limits


class Log:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def debug(self, event: str, **values: Any) -> None:
        """Keep a line."""
        self.lines.append(("debug", event, values))

    def info(self, event: str, **values: Any) -> None:
        """Keep a line."""
        self.lines.append(("info", event, values))

    def warning(self, event: str, **values: Any) -> None:
        """Keep a line."""
        self.lines.append(("warning", event, values))


class Scans:
    """A scanner that finds nobody; ``during`` happens meanwhile."""

    def __init__(self, failures: list[str], during: Callable[[], None] = lambda: None) -> None:
        self.made = 0
        self._failures = failures
        self._during = during

    async def scan(self) -> Scanned:
        """Find nobody."""
        self.made += 1
        self._during()
        await asyncio.sleep(0)
        failure = self._failures.pop(0) if self._failures else ""
        return Scanned([], complete=not failure, failure=failure)


class Subject:
    """A reconciler that runs, and its rests cut short."""

    def __init__(self, failures: list[str] | None = None) -> None:
        self.pipeline = Pipeline(WIRE, CPUS, limits(), TICK_NS)
        self.log = Log()
        self.scans = Scans(failures or [])
        self.reconciler = Reconciler(self.pipeline, self.scans, self.log, no_journal)

    def lose(self) -> None:
        """As a round that found a loss."""
        self.pipeline.waiting_losses.total += 1
        self.reconciler.after_round()

    def settle(self) -> None:
        """Rounds until what was scanned has been compared."""
        while self.pipeline.comparing:
            self.pipeline.push(clock.boottime_ns(), counters({}), delivery([]), counters({}))

    async def run(self, turns: int = 50) -> None:
        """Let it run for a while."""
        task = asyncio.create_task(self.reconciler.run(self.settle))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each scan was followed by the rest after a failure; none of them takes any time."""
    rests: list[bool] = []

    def none(took_seconds: float, *, failed: bool) -> float:
        rests.append(failed)
        return 0.0

    monkeypatch.setattr(reconciler, "rest_seconds", none)
    return rests


def test_scans_are_far_apart() -> None:
    """A second at least, and 20 times what the last one took; after a failure ten seconds."""
    assert rest_seconds(0.001, failed=False) == 1.0
    assert rest_seconds(2.5, failed=False) == 50.0
    assert rest_seconds(0.001, failed=True) == 10.0
    assert rest_seconds(2.5, failed=True) == 50.0


def test_nothing_is_scanned_without_a_reason(rests: list[bool]) -> None:
    """Rounds without a loss lead to no scan."""
    subject = Subject()
    for _ in range(3):
        subject.reconciler.after_round()
    asyncio.run(subject.run())
    assert (subject.scans.made, rests) == (0, [])


def test_many_losses_are_one_scan(rests: list[bool]) -> None:
    """What was lost before a scan began needs no other."""
    subject = Subject()
    for _ in range(5):
        subject.lose()
    asyncio.run(subject.run())
    assert (subject.scans.made, subject.reconciler.total, rests) == (1, 1, [False])


def test_a_loss_during_a_scan_leads_to_another(rests: list[bool]) -> None:
    """The one that runs may have passed the place already."""
    subject = Subject()
    subject.scans = Scans([], during=lambda: subject.lose() if subject.scans.made == 1 else None)
    subject.reconciler = Reconciler(subject.pipeline, subject.scans, subject.log, no_journal)
    subject.lose()
    asyncio.run(subject.run())
    assert (subject.scans.made, rests) == (2, [False, False])


def test_a_scan_that_fails_is_made_again(rests: list[bool]) -> None:
    """With a warning each time, until one sees all."""
    subject = Subject(["no descriptors", "no memory"])
    subject.lose()
    asyncio.run(subject.run())
    assert (subject.scans.made, rests) == (3, [True, True, False])
    warnings = [values["error"] for level, _, values in subject.log.lines if level == "warning"]
    assert warnings == ["no descriptors", "no memory"]


def test_a_late_event_is_a_reason(rests: list[bool]) -> None:
    """What came out of order may have been applied to what was not so any more."""
    subject = Subject()
    pipeline = subject.pipeline
    for seq, boottime_ns in ((0, 2000), (1, 1000)):
        taken = counters({(0, 0): seq + 1})
        event = fork(boottime_ns=boottime_ns, seq=seq)
        (entry,) = pipeline.push(3000 + seq, taken, delivery([event]), taken)
        assert not isinstance(entry, Lost)
    assert pipeline.reorderer.late_total == 1
    subject.reconciler.after_round()
    asyncio.run(subject.run())
    assert subject.scans.made == 1
    assert subject.log.lines[0][2]["reasons"] == [reconciler.DISORDER]


def test_room_for_those_that_were_dropped_is_a_reason(rests: list[bool]) -> None:
    """Once, when the tree has come well below its bound; not while it is full."""
    subject = Subject()
    subject.pipeline = Pipeline(WIRE, CPUS, limits(live_capacity=8), TICK_NS)
    subject.reconciler = Reconciler(subject.pipeline, subject.scans, subject.log, no_journal)
    tree = subject.pipeline.tree
    for tgid in range(1, 11):
        tree.apply(fork(tgid=tgid, parent_tgid=0, boottime_ns=tgid))
    subject.reconciler.after_round()
    asyncio.run(subject.run())
    assert subject.scans.made == 0
    tree.apply(exited(tgid=10, boottime_ns=20))
    for _ in range(2):
        subject.reconciler.after_round()
        asyncio.run(subject.run())
    assert subject.scans.made == 1
    assert subject.log.lines[0][2]["reasons"] == [reconciler.ROOM]


def test_exits_outside_the_filter_are_looked_for(
    rests: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then, and only if there were any. The log is not filled with that."""
    monkeypatch.setattr(reconciler, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(reconciler, "_LOOK_FACTOR", 0)
    subject = Subject()
    exits = 5
    subject.reconciler = Reconciler(
        subject.pipeline, subject.scans, subject.log, no_journal, lambda: exits
    )

    async def main() -> None:
        nonlocal exits
        await subject.run()
        assert subject.scans.made == 0
        exits = 6
        await subject.run()

    asyncio.run(main())
    assert subject.scans.made == 1
    assert [line[:2] for line in subject.log.lines] == [("debug", "looked at /proc")]


def test_an_adopter_that_was_not_found_is_a_reason(rests: list[bool]) -> None:
    """/proc shows who has the children. Anybody can bring that about: the log is not filled."""
    subject = Subject()
    orphaned = exited(tgid=9, boottime_ns=20, adopter_start_boottime_ns=SOMEBODY[1])
    subject.pipeline.tree.apply(orphaned)
    for _ in range(2):
        subject.reconciler.after_round()
        asyncio.run(subject.run())
    assert subject.scans.made == 1
    assert [line[:2] for line in subject.log.lines] == [("debug", "looked at /proc")]
    assert subject.log.lines[0][2]["reasons"] == [reconciler.ADOPTER]


def test_a_look_outside_the_filter_that_fails(
    rests: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be seen is no routine: the log has it."""
    monkeypatch.setattr(reconciler, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(reconciler, "_LOOK_FACTOR", 0)
    subject = Subject(["no descriptors"])
    exits = iter(range(3))
    subject.reconciler = Reconciler(
        subject.pipeline, subject.scans, subject.log, no_journal, lambda: next(exits, 3)
    )
    asyncio.run(subject.run())
    assert ("info", "reconciling with /proc") in [line[:2] for line in subject.log.lines]
