"""Sums up what exited processes have done, by what they ran and where. Done a round at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from agentd.control.facts import EntryFilter, FactFinder, Where
from agentd.core.batch import Batch
from agentd.core.event import Exit
from agentd.core.pipeline import Entry
from agentd.core.process import Applied
from agentd.core.text import as_text
from agentd.core.work import OTHER, Ranking, Sums, Work, sum_up
from agentd.printable import printable
from agentd.settings import Metrics

_REVIEW_NS = 60_000_000_000

UnitName: TypeAlias = tuple[str, str]
"""Unit and slice: users' units are often called like the system's."""
ExecutableName: TypeAlias = tuple[str]


class Tally(Protocol):
    """Somebody who keeps sums."""

    def add(self, executable: str, where: Where, work: Work) -> None:
        """What processes of that executable did there."""


class Rankings:
    """For metrics: by unit and by executable, of so many each."""

    def __init__(self, units: int, executables: int) -> None:
        self.units: Ranking[UnitName] = Ranking(units, (OTHER, ""))
        self.executables: Ranking[ExecutableName] = Ranking(executables, (OTHER,))

    @classmethod
    def of(cls, metrics: Metrics) -> Rankings:
        """As the configuration asks."""
        return cls(metrics.units, metrics.executables)

    def add(self, executable: str, where: Where, work: Work) -> None:
        """As Tally has it. A scrape is read on terminals, too."""
        self.units.add((printable(unit_name(where)), printable(where.slice or "")), work)
        self.executables.add((printable(executable),), work)

    def review(self) -> None:
        """Let those in that do most now."""
        self.units.review()
        self.executables.review()


class Interval:
    """For one who asks for the work of a while: by executable, unit and container."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.begin()

    def begin(self) -> None:
        """Forget all that was."""
        self.executables = Sums(self._capacity, OTHER)
        self.units = Sums(self._capacity, OTHER)
        self.containers = Sums(self._capacity, OTHER)

    def add(self, executable: str, where: Where, work: Work) -> None:
        """As Tally has it."""
        self.executables.add(executable, work)
        self.units.add(unit_name(where), work)
        if where.container:
            self.containers.add(where.container, work)


def unit_name(where: Where) -> str:
    """The systemd unit; or else the container, by its first digits; or else the slice."""
    if where.unit:
        return where.unit
    if where.container:
        return f"container {where.container[:12]}"
    return where.slice or where.cgroup or OTHER


class Workload:
    """Tells each tally what it hears of."""

    def __init__(self, facts: FactFinder, rankings: Rankings) -> None:
        self.rankings = rankings
        self._facts = facts
        self._asking: list[tuple[Tally, EntryFilter | None]] = []
        self._reviewed_ns = 0

    @contextmanager
    def told(self, tally: Tally, wanted: EntryFilter | None = None) -> Iterator[None]:
        """While the block runs, one more; of those that a filter wants, if there is one."""
        asking = tally, wanted
        self._asking.append(asking)
        try:
            yield
        finally:
            self._asking.remove(asking)

    def offer(self, batch: Batch) -> None:
        """The entries of a round."""
        every = [self.rankings, *(tally for tally, wanted in self._asking if wanted is None)]
        self._sum_up(batch.entries, every)
        for tally, wanted in self._asking:
            if wanted is not None:
                self._sum_up(list(filter(wanted, batch.entries)), [tally])
        applied = (entry for entry in reversed(batch.entries) if isinstance(entry, Applied))
        last_ns = next((entry.event.boottime_ns for entry in applied), 0)
        self._reviewed_ns = self._reviewed_ns or last_ns
        if last_ns - self._reviewed_ns >= _REVIEW_NS:
            self._reviewed_ns = last_ns
            self.rankings.review()

    def _sum_up(self, entries: Sequence[Entry], tallies: Sequence[Tally]) -> None:
        """Tell these."""
        sums, placeless = sum_up(entries)
        for (executable, place), work in sums.items():
            _tell(tallies, executable, self._facts.place(place), work)
        for entry in placeless:
            self._tell_of_one(entry, tallies)

    def _tell_of_one(self, entry: Applied, tallies: Sequence[Tally]) -> None:
        """Of a process that ran no program since we began: where it is, its line says."""
        work = Work()
        assert isinstance(entry.event, Exit)
        work.count(entry.event)
        executable = entry.image.executable or entry.image.name
        _tell(tallies, executable, self._facts.of_applied(entry), work)


def _tell(tallies: Sequence[Tally], executable: bytes, where: Where, work: Work) -> None:
    for tally in tallies:
        tally.add(as_text(executable), where, work)
