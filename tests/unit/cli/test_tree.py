"""agentd.cli.tree"""

from __future__ import annotations

from typing import Any

import pytest

from agentd.cli.tree import Forest, Style
from agentd.terminal.width import width
from tests.unit.cli.rows import row

PLAIN = Style(columns=None, colour=False, collapse=True)


def _below(above: dict[str, Any]) -> dict[str, Any]:
    return {"creator": {"pid": above["pid"], "entity_id": above["entity_id"]}}


def _drawn(rows: list[dict[str, Any]], style: Style = PLAIN) -> list[str]:
    forest = Forest(rows)
    return list(forest.lines(forest.roots, style))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "kworker/0:1"}, {"name": "migration/0"}),
        ({"signal": 9}, {"signal": 15}),
        ({"signal": 11, "core_dumped": False}, {"signal": 11, "core_dumped": True}),
        ({"exit_code": 0}, {"exit_code": 1}),
        ({"args": ["sh", "a"]}, {"args": ["sh", "b"]}),
    ],
)
def test_what_differs_is_drawn_for_itself(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Kernel threads by name, the ended by how; those that are the same in all of it are one."""
    top = row(2)
    kernel: dict[str, Any] = {"executable": None, "args": [], **_below(top)}
    two = [row(3, **{**kernel, **one}), row(4, **{**kernel, **other})]
    assert len(_drawn([top, *two])) == 3
    same = [row(3, **{**kernel, **one}), row(4, **{**kernel, **one})]
    assert len(_drawn([top, *same])) == 2
    assert "2 × 3" in _drawn([top, *same])[1]


def _deep(depth: int) -> list[dict[str, Any]]:
    rows = [row(100)]
    for pid in range(101, 101 + depth):
        rows.append(row(pid, args=["sh", "世" * 50], **_below(rows[-1])))
    rows.append(row(9999, signal=11, core_dumped=True, **_below(rows[-1])))
    return rows


@pytest.mark.parametrize("columns", [120, 80, 44, 40, 30])
def test_lines_fit_a_terminal(columns: int) -> None:
    """However deep, wide or badly ended a process is; and its pid is there."""
    lines = _drawn(_deep(40), Style(columns, colour=False, collapse=True))
    assert len(lines) == 42
    assert all(width(line) <= columns for line in lines)
    assert "9999" in lines[-1]
    assert any(width(line) == columns for line in lines)
    coloured = _drawn(_deep(40), Style(columns, colour=True, collapse=True))
    assert [width(line) for line in coloured] == [width(line) for line in lines]


def test_the_exited_are_dimmed() -> None:
    """On a terminal: the exited dim, the failed with their end in red, the live as they are."""
    rows = [row(1), row(2, exit_code=0), row(3, exit_code=4)]
    live, ended, failed = _drawn(rows, Style(None, colour=True, collapse=True))
    assert "\x1b" not in live
    assert ended == "\x1b[2m2 /bin/sh\x1b[0m\x1b[2m  [with status 0]\x1b[0m"
    assert failed == "\x1b[2m3 /bin/sh\x1b[0m\x1b[31m  [with status 4]\x1b[0m"


def test_a_chain_of_thousands() -> None:
    """Is drawn, and listed: nothing of it recurses."""
    rows = _deep(3000)
    assert len(_drawn(rows, Style(80, colour=False, collapse=True))) == len(rows)
    forest = Forest(rows)
    assert list(forest.below(forest.roots)) == rows
    assert [row["pid"] for row in forest.below(forest.of(3099))] == [3099, 3100, 9999]


def test_a_circle_ends() -> None:
    """Two that claim each other, as damaged records may say."""
    one, two = row(1), row(2, **_below(row(1)))
    one |= _below(two)
    forest = Forest([one, two])
    assert [node["pid"] for node in forest.below(forest.of(1))] == [1, 2]
    assert len(list(forest.lines(forest.of(1), PLAIN))) == 3
