"""Sums up what exited processes have done, by what they ran and where. Done a round at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from agentd.config.schema import Metrics
from agentd.core.batch import Batch
from agentd.core.pipeline import Entry
from agentd.core.text import as_text
from agentd.core.tree.process import Applied
from agentd.core.usage import OTHER, Ranking, Work, sum_up
from agentd.core.wire.events import Exit
from agentd.filters.facts import FactFinder, Where
from agentd.terminal.escape import printable

_REVIEW_NS = 60_000_000_000
_NAME_CHARACTERS_MAX = 256
"""Of an executable's path or a unit's name; what is longer has an ellipsis, and may be several."""

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
        slice_name = where.slice or ""
        self.units.add((_cut(printable(unit_name(where))), _cut(printable(slice_name))), work)
        self.executables.add((_cut(printable(executable)),), work)

    def review(self) -> None:
        """Let those in that do most now."""
        self.units.review()
        self.executables.review()


def unit_name(where: Where) -> str:
    """The systemd unit; or else the container, by its first digits; or else the slice."""
    if where.unit:
        return _cut(where.unit)
    if where.container:
        return f"container {where.container[:12]}"
    return _cut(where.slice or where.cgroup or OTHER)


def _cut(name: str) -> str:
    """A name of bounded length: others choose it, and sums are kept by name."""
    return name if len(name) <= _NAME_CHARACTERS_MAX else f"{name[: _NAME_CHARACTERS_MAX - 1]}…"


class Workload:
    """Sums up for the rankings."""

    def __init__(self, facts: FactFinder, rankings: Rankings) -> None:
        self.rankings = rankings
        self._facts = facts
        self._reviewed_ns = 0

    def offer(self, batch: Batch) -> None:
        """The entries of a round."""
        add_up(batch.entries, self._facts, [self.rankings])
        applied = (entry for entry in reversed(batch.entries) if isinstance(entry, Applied))
        last_ns = next((entry.event.boottime_ns for entry in applied), 0)
        self._reviewed_ns = self._reviewed_ns or last_ns
        if last_ns - self._reviewed_ns >= _REVIEW_NS:
            self._reviewed_ns = last_ns
            self.rankings.review()


def add_up(entries: Sequence[Entry], facts: FactFinder, tallies: Sequence[Tally]) -> None:
    """Give each tally the work that these entries report."""
    sums, placeless = sum_up(entries)
    for (executable, place), work in sums.items():
        _add(tallies, executable, facts.place(place), work)
    for entry in placeless:
        # it ran no program since we began: where it is, its line says
        work = Work()
        assert isinstance(entry.event, Exit)
        work.count(entry.event)
        name = entry.image.executable or entry.image.name
        _add(tallies, name, facts.of_applied(entry), work)


def _add(tallies: Sequence[Tally], executable: bytes, where: Where, work: Work) -> None:
    name = _cut(as_text(executable))
    for tally in tallies:
        tally.add(name, where, work)
