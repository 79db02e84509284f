"""What ``agentd top`` shows, apart from where: sums of the intervals, in a chosen order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agentd.cli import status
from agentd.terminal.escape import printable
from agentd.terminal.width import cut, narrowed

PARTS = ("executables", "units", "containers")
ORDERS = ("cpu", "execs", "peak")
_MIB = 1 << 20
_NAME_LEAST = 16
_WIDTHS = {"EXEC/S": 8, "EXIT/S": 8, "CPU %": 7, "CPU S": 9, "PEAK MIB": 9}
_NARROWER = [(heading, 0) for heading in ("CPU S", "PEAK MIB", "EXIT/S", "EXEC/S", "CPU %")]
"""What a narrow terminal does without, one after the other."""


@dataclass(slots=True)
class Row:
    """What processes of one name did: in the last interval, and since the beginning."""

    name: str
    execs_per_second: float = 0.0
    exits_per_second: float = 0.0
    cpu_percent: float = 0.0
    execs: int = 0
    cpu_seconds: float = 0.0
    peak_rss_bytes: int = 0

    def cells(self) -> dict[str, str]:
        """By heading."""
        return {
            "EXEC/S": f"{self.execs_per_second:.1f}",
            "EXIT/S": f"{self.exits_per_second:.1f}",
            "CPU %": f"{self.cpu_percent:.1f}",
            "CPU S": f"{self.cpu_seconds:.2f}",
            "PEAK MIB": f"{self.peak_rss_bytes / _MIB:.1f}",
        }

    def line(self, columns: int | None) -> str:
        """As text, made to fit the columns of a terminal."""
        return _line(self.cells(), printable(self.name), columns)


def _line(cells: dict[str, str], name: str, columns: int | None) -> str:
    widths = _WIDTHS
    if columns is not None:
        widths = narrowed(_WIDTHS, _NARROWER, columns - _NAME_LEAST - 2, 1)
    numbers = " ".join(cells[heading].rjust(width) for heading, width in widths.items())
    text = f"{numbers}  {name}" if numbers else name
    return text if columns is None else cut(text, columns)


_KEYS = {
    "cpu": lambda row: (row.cpu_percent, row.cpu_seconds, row.execs),
    "execs": lambda row: (row.execs_per_second, row.execs),
    "peak": lambda row: (row.peak_rss_bytes,),
}


@dataclass(slots=True)
class Top:
    """Takes the lines of ``/v1/work``."""

    part: str = PARTS[0]
    order: str = ORDERS[0]
    _rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {part: {} for part in PARTS})
    _now: dict[str, Any] | None = None
    _rates: str = ""

    def take(self, line: dict[str, Any]) -> None:
        """One interval more."""
        self._now = line["status"]
        self._rates = ", ".join(
            f"{count / line['seconds']:,.0f} {kind}/s" for kind, count in line["events"].items()
        )
        for part in PARTS:
            rows, did = self._rows[part], line[part]
            for row in rows.values():
                row.execs_per_second = row.exits_per_second = row.cpu_percent = 0.0
            for name, work in did.items():
                _add(rows.setdefault(name, Row(name)), work, line["seconds"])

    def next_part(self) -> None:
        """Executables, units, containers."""
        self.part = PARTS[(PARTS.index(self.part) + 1) % len(PARTS)]

    def next_order(self) -> None:
        """By CPU, by execs, by memory."""
        self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]

    def rows(self) -> list[Row]:
        """Those of the chosen part, the greatest first."""
        return sorted(self._rows[self.part].values(), key=_KEYS[self.order], reverse=True)

    def summary(self) -> Iterator[str]:
        """How agentd does, in two lines."""
        now = self._now
        if now is None:
            yield "waiting for the first interval…"
            return
        word = "well" if status.is_well(now) else f"NOT WELL: {status.problem(now)}"
        dropped = sum(sink["dropped"] for sink in now["sinks"])
        transport = now["transport"]
        filled = 100 * transport["used_bytes"] / transport["buffer_bytes"]
        yield f"agentd {now['version']}: {word}; {now['tree']['live']:,} processes; {self._rates}"
        yield (
            f"lost {now['lost']:,}, dropped by sinks {dropped:,}, imbalance {now['imbalance']};"
            f" buffer {filled:.0f} % full"
        )

    def heading(self, columns: int | None) -> str:
        """Above the rows."""
        return _line({name: name for name in _WIDTHS}, self.part.removesuffix("s").upper(), columns)

    def nothing(self) -> str:
        """Where rows would be, if there are none."""
        where = "in a container " if self.part == "containers" else ""
        return "" if self._now is None else f"No process {where}has executed or exited yet."

    def is_lossy(self) -> bool:
        """Whether something was lost lately, or is wrong."""
        now = self._now
        return now is not None and bool(now["losing"] or not status.is_well(now))


def _add(row: Row, work: dict[str, Any], seconds: float) -> None:
    row.execs_per_second = work["execs"] / seconds
    row.exits_per_second = work["exits"] / seconds
    row.cpu_percent = 100 * work["cpu_seconds"] / seconds
    row.execs += work["execs"]
    row.cpu_seconds += work["cpu_seconds"]
    row.peak_rss_bytes = max(row.peak_rss_bytes, work["peak_rss_bytes"])
