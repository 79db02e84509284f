"""agentd.cli.ps"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from agentd.cli.ps import Style, lines, ordered
from agentd.cli.query_parser import COLUMNS
from agentd.terminal.width import width
from tests.unit.cli.rows import row

ROWS = [
    row(11, args=["sh", "-c", "世界" * 40], unit="systemd-journald.service", depth=12),
    row(1234567, user={"id": "1000", "name": "a-long-user-name"}, signal=11, core_dumped=True),
    row(13, exit_code=3, parent={"pid": 11}, finished_cpu_seconds=12.5),
]


def _table(columns: int | None, *, chosen: tuple[str, ...] = (), colour: bool = False) -> list[str]:
    style = Style(chosen or COLUMNS, bool(chosen), columns, colour)
    return list(lines(ROWS, style))


@pytest.mark.parametrize("columns", [200, 120, 100, 80, 60, 44, 40, 30, 20])
def test_a_terminal_shows_commands(columns: int) -> None:
    """However narrow it is: each line fits, and has a part of the command, and the pid."""
    heading, *shown = _table(columns)
    assert all(width(line) <= columns for line in (heading, *shown))
    assert heading.split()[0] == "PID"
    assert heading.split()[-1] == "COMMAND"
    assert all(" /bin/sh" in line for line in shown)


def test_columns_go_one_after_the_other() -> None:
    """The less the terminal has, the fewer there are; in a pipe all are there, and whole."""
    there = [set(_table(columns)[0].split()) for columns in (200, 120, 100, 80, 60, 44)]
    assert there == sorted(there, key=len, reverse=True)
    assert all(fewer <= more for more, fewer in itertools.pairwise(there))
    assert {"PID", "PARENT", "STATE", "STATUS", "COMMAND"} <= there[3]
    whole = _table(None)
    assert whole[0].split() == [name.upper() for name in COLUMNS]
    assert "世界" * 40 in whole[1]


def test_columns_that_somebody_chose_stay() -> None:
    """What was asked for is there; where it has no room the line is cut."""
    heading, *_ = _table(60, chosen=("pid", "entity", "command"))
    assert heading.split() == ["PID", "ENTITY", "COMMAND"]
    assert all(width(line) <= 30 for line in _table(30, chosen=("pid", "entity", "command")))


def test_parents() -> None:
    """Who has none has 0; a question mark stands for one that is not known."""
    rows = [row(parent={"pid": 9}), row(), row(parent_unknown="adopter")]
    _, *shown = lines(rows, Style(("parent",), True, None, colour=False))
    assert [line.strip() for line in shown] == ["9", "0", "?"]


def test_short_moments() -> None:
    """Where there is little room: the time of today, else the day."""
    now = datetime.now(UTC)
    rows = [row(1, start=f"{now:%Y-%m-%dT%H:%M:%S}.000000000Z"), row(2)]
    _, today, before = lines(rows, Style(("start", "command"), True, 24, colour=False))
    assert today.split()[0] == f"{now.astimezone():%H:%M:%S}"
    assert before.split()[0] in ("11-22", "11-23", "11-24")


@pytest.mark.parametrize(
    ("fields", "state", "status"),
    [
        ({}, "live", "-"),
        ({"exit_code": 0}, "exited", "0"),
        ({"exit_code": 3}, "exited", "3"),
        ({"signal": 9}, "killed", "signal 9"),
        ({"signal": 11, "core_dumped": True}, "dumped", "signal 11"),
        ({"end": "2026-11-23T15:00:00.000000000Z"}, "gone", "-"),
    ],
)
def test_states(fields: dict[str, Any], state: str, status: str) -> None:
    """A word for how it is, and a column for what it ended with."""
    style = Style(("state", "status"), True, None, colour=False)
    _, shown = lines([row(**fields)], style)
    assert shown.split(maxsplit=1) == [state, status]


def _by(column: str, *rows: dict[str, Any]) -> list[int]:
    return [shown["pid"] for shown in ordered(list(rows), column)]


@pytest.mark.parametrize(
    ("column", "less", "more"),
    [
        ("pid", {"pid": 9}, {"pid": 10}),
        ("parent", {"parent": {"pid": 9}}, {"parent": {"pid": 10}}),
        ("parent", {"parent_unknown": "adopter"}, {"parent": {"pid": 10}}),
        ("depth", {"depth": 9}, {"depth": 10}),
        ("user", {"user": {"id": "9", "name": "alice"}}, {"user": {"id": "1", "name": "bob"}}),
        ("start", {"start": "2026-11-23T14:00:00.000000001Z"}, {}),
        ("finished", {"finished_cpu_seconds": 9.0}, {"finished_cpu_seconds": 10.0}),
        ("state", {"exit_code": 0}, {}),
        ("status", {"exit_code": 9}, {"exit_code": 10}),
        ("status", {"exit_code": 200}, {"signal": 9}),
        ("status", {}, {"exit_code": 0}),
        ("where", {"unit": "a.service"}, {"container": "b" * 64}),
        ("entity", {"entity_id": "a"}, {"entity_id": "b"}),
        ("command", {"executable": "/bin/a"}, {"executable": "/bin/b"}),
    ],
)
def test_each_order(column: str, less: dict[str, Any], more: dict[str, Any]) -> None:
    """Numbers as numbers, moments as moments, text as text; and the other way round."""
    rows = [row(**{"pid": 20, **more}), row(**{"pid": 10, **less})]
    assert ordered(rows, column) == rows[::-1]
    assert ordered(rows, column, reverse=True) == rows


def test_every_column_has_an_order() -> None:
    """--sort takes each of them."""
    for column in COLUMNS:
        assert len(ordered(list(ROWS), column)) == 3


def test_colours() -> None:
    """The exited are dimmed, the failed are red, and a line is as wide as without."""
    heading, live, killed, failed = _table(80, colour=True)
    assert "\x1b" not in heading + live
    assert killed.startswith("\x1b[31m")
    assert failed.startswith("\x1b[31m")
    (_, ended) = lines([row(exit_code=0)], Style(COLUMNS, False, 80, colour=True))
    assert ended.startswith("\x1b[2m")
    assert [width(line) for line in _table(80, colour=True)] == [width(line) for line in _table(80)]
