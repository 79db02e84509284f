"""``agentd ps`` for people: a table of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agentd.control.words import command, cut, ending, moment
from agentd.printable import printable

Row = dict[str, Any]


def _parent(row: Row) -> str:
    return str(row["parent"]["pid"]) if row["parent"] else "0"


def _user(row: Row) -> str:
    user = row["user"]
    return "?" if user is None else str(user["name"] or user["id"])


def _state(row: Row) -> str:
    return "live" if row["live"] else ending(row)


def _where(row: Row) -> str:
    container = row["container"]
    return printable(container[:12] if container else row["unit"] or "-")


COLUMNS: dict[str, Callable[[Row], str]] = {
    "pid": lambda row: str(row["pid"]),
    "parent": _parent,
    "depth": lambda row: str(row["depth"]),
    "user": lambda row: printable(_user(row)),
    "start": lambda row: moment(row["start"]),
    "finished": lambda row: f"{row['finished_cpu_seconds']:.2f}",
    "state": _state,
    "where": _where,
    "entity": lambda row: str(row["entity_id"]),
    "command": command,
}
"""By heading. ``finished``: CPU seconds of those below it that exited. ``where``: the container, or
else the systemd unit."""

_NUMBERS = {"pid", "parent", "depth", "finished"}


def with_depths(rows: list[Row]) -> list[Row]:
    """Each with how many ancestors it has among them."""
    by_id = {row["entity_id"]: row for row in rows}
    depths: dict[str, int] = {}

    def depth(row: Row) -> int:
        chain = []
        above: Row | None = row
        while above is not None and above["entity_id"] not in depths:
            if above["entity_id"] in chain:
                break
            chain.append(above["entity_id"])
            other = above["creator"] or above["parent"]
            above = by_id.get(other["entity_id"]) if other else None
        known = depths[above["entity_id"]] + 1 if above and above["entity_id"] in depths else 0
        for number, entity_id in enumerate(reversed(chain), known):
            depths[entity_id] = number
        return depths[row["entity_id"]]

    return [row | {"depth": depth(row)} for row in rows]


def ordered(rows: list[Row], column: str) -> list[Row]:
    """By a column; numbers as numbers, commands and users as text."""
    show = COLUMNS[column]
    return sorted(rows, key=lambda row: (float(show(row)) if column in _NUMBERS else 0, show(row)))


def lines(rows: list[Row], names: Sequence[str], columns: int | None) -> Iterator[str]:
    """The table of the columns named, cut to so many columns of the terminal."""
    cells = [[name.upper() for name in names]]
    cells += [[COLUMNS[name](row) for name in names] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(names))]
    for row in cells:
        aligned = [
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(names, row, widths, strict=True)
        ]
        text = "  ".join(aligned).rstrip()
        yield text if columns is None else cut(text, columns)
