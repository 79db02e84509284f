"""What the commands that ask a running daemon print."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from agentd.control import client, explain, forest, status, table, top
from agentd.errors import AnswerError

_RATE_SECONDS = 0.5
_ROWS = 20


def show_status(arguments: argparse.Namespace) -> int:
    """``agentd status``. Exit code 1 if it is not well."""
    before = client.ask(arguments.socket, "status")
    if arguments.json:
        print(json.dumps(before))
        return _code(before)
    time.sleep(_RATE_SECONDS)
    now = client.ask(arguments.socket, "status")
    print(status.render(before, now, colour=sys.stdout.isatty()), end="")
    return _code(now)


def show_explained(arguments: argparse.Namespace) -> int:
    """``agentd explain``."""
    answer = client.ask(arguments.socket, "explain", id=arguments.id)
    print(json.dumps(answer) if arguments.json else explain.render(answer), end="")
    return os.EX_OK


def show_tree(arguments: argparse.Namespace) -> int:
    """``agentd tree``."""
    rows = _processes(arguments, exited=not arguments.live)
    if arguments.since:
        rows = forest.since(rows, arguments.since)
    if arguments.json:
        return _print(map(json.dumps, rows))
    drawn = forest.Forest(rows)
    roots = drawn.roots
    if arguments.pid is not None:
        roots = drawn.of(arguments.pid)
        if not roots:
            raise AnswerError(
                f"nothing is known of {arguments.pid}: it exited too long ago, if ever"
            )
    style = forest.Style(_columns(), colour=sys.stdout.isatty(), collapse=not arguments.all)
    return _print(drawn.lines(roots, style))


def show_processes(arguments: argparse.Namespace) -> int:
    """``agentd ps``."""
    rows = table.with_depths(_processes(arguments, exited=arguments.exited))
    if arguments.json:
        return _print(map(json.dumps, rows))
    return _print(table.lines(table.ordered(rows, arguments.sort), arguments.columns, _columns()))


def follow(arguments: argparse.Namespace) -> int:
    """``agentd follow``, until it or the daemon is stopped, or nobody reads it."""
    form = "json" if arguments.json else "colour" if sys.stdout.isatty() else "text"
    lines = client.stream(arguments.socket, "follow", filter=arguments.filter, format=form)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        for line in lines:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        return os.EX_OK
    _leave_quietly()
    return os.EX_OK


def show_top(arguments: argparse.Namespace) -> int:
    """``agentd top``: on a terminal until q, else a table for each interval."""
    lines = client.stream(arguments.socket, "work", seconds=str(arguments.seconds))
    if arguments.count:
        lines = itertools.islice(lines, arguments.count)
    if arguments.json:
        return _print(line.decode().rstrip("\n") for line in lines)
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        return _print(_tables(lines))
    from agentd.control.screen import Screen  # noqa: PLC0415 (curses and its like)

    Screen(lines).run()
    return os.EX_OK


def _tables(lines: Iterable[bytes]) -> Iterator[str]:
    """What a screen would show of each interval, one below the other."""
    view = top.Top()
    for line in lines:
        view.take(json.loads(line))
        yield from view.summary()
        yield view.heading(_columns())
        yield from (row.line(_columns()) for row in view.rows()[:_ROWS])
        yield ""


def _processes(arguments: argparse.Namespace, *, exited: bool) -> list[dict[str, Any]]:
    parts = []
    if getattr(arguments, "user", None):
        field = "uid" if arguments.user.isdigit() else "user"
        parts.append(f"{field} = {arguments.user if field == 'uid' else _quoted(arguments.user)}")
    if getattr(arguments, "container", None):
        parts.append(f"container ~ {_quoted('^' + arguments.container)}")
    if arguments.filter:
        parts.append(f"({arguments.filter})" if parts else arguments.filter)
    wanted = " and ".join(parts)
    return client.ask_lines(
        arguments.socket, "processes", filter=wanted, exited="1" if exited else "0"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _print(lines: Iterable[str]) -> int:
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_quietly()
    return os.EX_OK


def _leave_quietly() -> None:
    """Nobody reads: what Python would still flush goes nowhere."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _columns() -> int | None:
    """Of the terminal; no limit where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _code(answer: dict[str, Any]) -> int:
    return os.EX_OK if status.is_well(answer) else 1
