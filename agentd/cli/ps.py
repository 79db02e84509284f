"""``agentd ps`` for people: a table of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentd.terminal.escape import printable
from agentd.terminal.style import DIM, RED, command, has_failed, moment, moment_briefly, paint
from agentd.terminal.width import cut, justified, narrowed, width

Row = dict[str, Any]

_GAP = 2
_BRIEFLY = len("hh:mm:ss")
_COMMAND_LEAST = 16
_NARROWER = (
    ("entity", 0), ("start", _BRIEFLY), ("where", 16), ("finished", 0), ("where", 0), ("depth", 0),
    ("user", 8), ("parent", 0), ("start", 0), ("user", 0), ("status", 0), ("state", 0),
)  # fmt: skip
"""What a narrow terminal does without, one after the other; a width of 0: the whole column."""


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw. ``columns``: of the terminal; None for no limit.

    ``names``: of the table's columns; ``chosen``: somebody asked for these, so all of them stay.
    """

    names: Sequence[str]
    chosen: bool
    columns: int | None
    colour: bool


def _parent(row: Row) -> str:
    if row["parent_unknown"]:
        return "?"
    return str(row["parent"]["pid"]) if row["parent"] else "0"


def _user(row: Row) -> str:
    user = row["user"]
    return "?" if user is None else str(user["name"] or user["id"])


def _state(row: Row) -> str:
    if row["live"]:
        return "live"
    if row["signal"] is not None:
        return "dumped" if row["core_dumped"] else "killed"
    return "gone" if row["exit_code"] is None else "exited"


def _status(row: Row) -> str:
    if row["signal"] is not None:
        return f"signal {row['signal']}"
    return "-" if row["exit_code"] is None else str(row["exit_code"])


def _where(row: Row) -> str:
    container = row["container"]
    return printable(container[:12] if container else row["unit"] or "-")


_SHOW: dict[str, Callable[[Row], str]] = {
    "pid": lambda row: str(row["pid"]),
    "parent": _parent,
    "depth": lambda row: str(row["depth"]),
    "user": lambda row: printable(_user(row)),
    "start": lambda row: moment(row["start"]),
    "finished": lambda row: f"{row['finished_cpu_seconds']:.2f}",
    "state": _state,
    "status": _status,
    "where": _where,
    "entity": lambda row: str(row["entity_id"]),
    "command": command,
}
_NUMBERS = {"pid", "parent", "depth", "finished"}


def _status_order(row: Row) -> tuple[int, int]:
    """The live first, then exit statuses, then signals."""
    if row["signal"] is not None:
        return 2, row["signal"]
    return (0, 0) if row["exit_code"] is None else (1, row["exit_code"])


_ORDER: dict[str, Callable[[Row], Any]] = {
    "pid": lambda row: row["pid"],
    "parent": lambda row: row["parent"]["pid"] if row["parent"] else 0,
    "depth": lambda row: row["depth"],
    "start": lambda row: (row["start"], row["pid"]),
    "finished": lambda row: row["finished_cpu_seconds"],
    "status": _status_order,
}
"""Where it is not what is shown, as text."""


def ordered(rows: list[Row], column: str, *, reverse: bool = False) -> list[Row]:
    """By a column; numbers as numbers, moments as moments, the rest as text."""
    return sorted(rows, key=_ORDER.get(column, _SHOW[column]), reverse=reverse)


def lines(rows: list[Row], style: Style) -> Iterator[str]:
    """The table, made to fit its terminal: some columns shorter, or not there."""
    cells = {name: [name.upper(), *map(_SHOW[name], rows)] for name in style.names}
    widths = {name: max(map(width, column)) for name, column in cells.items()}
    if style.columns is not None:
        widths = _fitted(widths, style.columns, chosen=style.chosen)
    if widths.get("start") == _BRIEFLY:
        cells["start"] = ["START", *(moment_briefly(row["start"]) for row in rows)]
    for number in range(len(rows) + 1):
        aligned = [
            justified(cells[name][number], columns, right=name in _NUMBERS)
            for name, columns in widths.items()
        ]
        text = (" " * _GAP).join(aligned).rstrip()
        text = text if style.columns is None else cut(text, style.columns)
        yield text if number == 0 else _painted(text, rows[number - 1], colour=style.colour)


def _fitted(widths: dict[str, int], room: int, *, chosen: bool) -> dict[str, int]:
    whole = widths.get("command", 0)
    least = min(whole, max(_COMMAND_LEAST, room // 4))
    steps = [step for step in _NARROWER if step[1] or not chosen]
    fitted = narrowed(widths | ({"command": least} if whole else {}), steps, room, _GAP)
    left = room - sum(fitted.values()) - _GAP * (len(fitted) - 1)
    last = list(fitted)[-1]
    # what is left over, or still missing, is the last column's
    wants = whole if last == "command" else fitted[last]
    return fitted | {last: max(1, min(wants, fitted[last] + left))}


def _painted(text: str, row: Row, *, colour: bool) -> str:
    if row["live"]:
        return text
    return paint(RED if has_failed(row) else DIM, text, colour=colour)
