"""What the commands that ask a running daemon print."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pwd
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from agentd.cli import client, explain, ps, status, top, tree
from agentd.cli.query_parser import COLUMNS
from agentd.core.text import as_text
from agentd.errors import AnswerError
from agentd.sinks.render.text import HEADING
from agentd.terminal import stdout, style, width
from agentd.terminal.escape import printable_lines, shortened
from agentd.terminal.numerals import whole

_RATE_SECONDS = 0.5
_ROWS = 20
_WIDE = 80
_LESS_WHO = HEADING.index("PID") + len("PID"), HEADING.index("UID") + len("UID")
_LESS_TIME = len("hh:mm:ss"), len("hh:mm:ss.ffffff")
"""Columns that events can do without: the parent and the user; parts of a second."""


def show_status(arguments: argparse.Namespace) -> int:
    """``agentd status``. Exit code 1 if it is not well."""
    before = client.ask(arguments.socket, "status")
    if arguments.json:
        stdout.write_lines([json.dumps(before)])
        return _code(before)
    time.sleep(_RATE_SECONDS)
    now = client.ask(arguments.socket, "status")
    shown = status.render(before, now, colour=stdout.is_coloured(), columns=stdout.columns())
    stdout.write(shown)
    return _code(now)


def show_explained(arguments: argparse.Namespace) -> int:
    """``agentd explain``."""
    answer = client.ask(arguments.socket, "explain", id=arguments.id)
    style = explain.Style(stdout.columns(), colour=stdout.is_coloured())
    stdout.write(f"{json.dumps(answer)}\n" if arguments.json else explain.render(answer, style))
    return os.EX_OK


def show_tree(arguments: argparse.Namespace) -> int:
    """``agentd tree``."""
    rows = _processes(arguments, exited=not arguments.live)
    if arguments.since:
        rows = tree.since(rows, arguments.since)
    drawn = tree.Forest(rows)
    roots = drawn.roots if arguments.pid is None else drawn.of(arguments.pid)
    if arguments.pid is not None and not roots:
        why = "it exited too long ago, if ever"
        raise AnswerError(f"nothing is known of {arguments.pid}: {why}")
    if arguments.json:
        stdout.write_lines(map(json.dumps, drawn.below(roots)))
        return os.EX_OK
    if not roots:
        stdout.note("no process that is known is one of these")
    style = tree.Style(stdout.columns(), colour=stdout.is_coloured(), collapse=not arguments.all)
    stdout.write_lines(drawn.lines(roots, style))
    return os.EX_OK


def show_processes(arguments: argparse.Namespace) -> int:
    """``agentd ps``."""
    rows = _processes(arguments, exited=arguments.exited)
    rows = ps.ordered(rows, arguments.sort, reverse=arguments.reverse)
    if arguments.json:
        stdout.write_lines(map(json.dumps, rows))
        return os.EX_OK
    names, chosen = arguments.columns or COLUMNS, arguments.columns is not None
    style = ps.Style(names, chosen, stdout.columns(), colour=stdout.is_coloured())
    stdout.write_lines(ps.lines(rows, style))
    return os.EX_OK


def follow(arguments: argparse.Namespace) -> int:
    """``agentd follow``, until it or the daemon is stopped, or nobody reads it."""
    form = "json" if arguments.json else "colour" if stdout.is_coloured() else "text"
    offset = str(style.utc_offset_seconds())
    lines = client.stream(
        arguments.socket, "follow", filter=_filters(arguments), format=form, utc_offset=offset
    )
    for line in lines:
        columns = None if arguments.json else stdout.columns()
        text = as_text(line)
        stdout.write(text if columns is None else _fitted(text, columns))
        stdout.flush()
    return os.EX_OK


def _fitted(line: str, columns: int) -> str:
    """A line of events, as a terminal has room for it: without some of it, where it is narrow."""
    text = printable_lines(line.rstrip("\n"), colours=True)
    if columns < _WIDE:
        text = width.left_out(text, *_LESS_WHO)
        text = width.left_out(text, *_LESS_TIME)
    return f"{width.cut(text, columns)}\n"


def show_top(arguments: argparse.Namespace) -> int:
    """``agentd top``: on a terminal until q, else a table for each interval."""
    seconds, filters = str(arguments.seconds), _filters(arguments)
    lines = client.stream(arguments.socket, "work", seconds=seconds, filter=filters)
    if arguments.count:
        lines = itertools.islice(lines, arguments.count)
    if arguments.json:
        stdout.write_lines((json.dumps(client.value_of(line)) for line in lines), at_once=True)
        return os.EX_OK
    if not (stdout.is_terminal() and sys.stdin is not None and sys.stdin.isatty()):
        stdout.write_lines(_tables(lines), at_once=True)
        return os.EX_OK
    from agentd.cli.top_screen import Screen  # noqa: PLC0415 (curses and its like)

    Screen(lines).run()
    return os.EX_OK


def _tables(lines: Iterable[bytes]) -> Iterator[str]:
    """What a screen would show of each interval, one below the other."""
    view = top.Top()
    for line in lines:
        view.take(client.value_of(line))
        columns = stdout.columns()
        for text in view.summary():
            yield from width.wrapped("", text, columns)
        yield view.heading(columns)
        yield from (row.line(columns) for row in view.rows()[:_ROWS])
        yield ""


def _processes(arguments: argparse.Namespace, *, exited: bool) -> list[dict[str, Any]]:
    filters = _filters(arguments)
    user = getattr(arguments, "user", None)
    if user:
        filters.append(f"uid = {user}" if whole(user) is not None else f"user = {_quoted(user)}")
    if getattr(arguments, "container", None):
        begins = re.escape(arguments.container).replace('"', r"\x22")
        filters.append(f'container ~ "^(?:{begins})"')
    rows = client.ask_lines(
        arguments.socket, "processes", filter=filters, exited="1" if exited else "0"
    )
    if user and not rows and not _is_user(user):
        raise AnswerError(f"there is no user {shortened(user)}")
    return rows


def _filters(arguments: argparse.Namespace) -> list[str]:
    return [arguments.filter] if arguments.filter else []


def _quoted(text: str) -> str:
    """A text for a filter, which has no way to write both quotes or a backslash at the end."""
    quote = "'" if '"' in text else '"'
    if quote in text or text.endswith("\\"):
        raise AnswerError(f"{shortened(text)}: nothing can be so called")
    return f"{quote}{text}{quote}"


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return whole(name) is not None
    return True


def _code(answer: dict[str, Any]) -> int:
    return os.EX_OK if status.is_well(answer) else 1
