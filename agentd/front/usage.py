"""What exited processes have done, for those who ask for it by intervals (agentd top)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agentd.core.pipeline import Entry
from agentd.core.usage import OTHER, Sums, Work
from agentd.filters.facts import EntryFilter, FactFinder, Where
from agentd.metrics.usage_tracker import add_up, unit_name

_NAMES_MAX = 4096
"""Names that one interval tells apart; the rest is ``other``."""


class Interval:
    """For one who asks for the work of a while: by executable, unit and container."""

    def __init__(self, capacity: int = _NAMES_MAX) -> None:
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

    def line(self, seconds: float, page_bytes: int) -> dict[str, Any]:
        """For JSON."""
        parts = {
            "executables": self.executables,
            "units": self.units,
            "containers": self.containers,
        }
        return {"seconds": round(seconds, 3)} | {
            part: {
                name: {
                    "execs": work.execs,
                    "exits": work.exits,
                    "cpu_seconds": work.cpu_ns / 1e9,
                    "peak_rss_bytes": work.max_rss_pages * page_bytes,
                }
                for name, work in sums.named.items()
            }
            for part, sums in parts.items()
        }


class Asking:
    """All who ask."""

    def __init__(self, facts: FactFinder) -> None:
        self._facts = facts
        self._asking: list[tuple[Interval, EntryFilter | None]] = []

    @contextmanager
    def adding(self, interval: Interval, wanted: EntryFilter | None = None) -> Iterator[None]:
        """While the block runs, an interval gets the work of what a filter wants, or of all."""
        asking = interval, wanted
        self._asking.append(asking)
        try:
            yield
        finally:
            self._asking.remove(asking)

    def offer(self, entry: Entry) -> None:
        """Add the work of an entry."""
        wanting = [interval for interval, wanted in self._asking if wanted is None or wanted(entry)]
        if wanting:
            add_up([entry], self._facts, wanting)
