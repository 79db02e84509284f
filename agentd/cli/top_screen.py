"""``agentd top`` on a terminal."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import urwid

from agentd.cli import client
from agentd.cli.top import PARTS, Row, Top
from agentd.terminal.width import wrapped

_KEYS = "q quit   ? help   Tab what   s order   p pause   ↑↓ scroll"
_HELP = (
    ("", "What processes that have exited did: they are over before a look at /proc can see them."),
    ("", ""),
    ("EXEC/S", "programs started, a second"),
    ("EXIT/S", "processes ended, a second"),
    ("CPU %", "of a CPU, by those that ended in the interval"),
    ("CPU S", "all their CPU seconds since top began"),
    ("PEAK MIB", "the most memory that one of them had"),
    ("", ""),
    ("Tab, 1 2 3", "by executable, unit, container"),
    ("s", "order: by CPU, execs, memory"),
    ("p", "pause; again to go on"),
    ("↑ ↓", "scroll"),
    ("? h", "this, and back"),
    ("q Esc", "quit"),
    ("", ""),
    ("", "The head is red while something is wrong, and for ten minutes after a loss."),
)
_PALETTE = [
    ("good", "black", "dark green"),
    ("bad", "white", "dark red"),
    ("heading", "standout", ""),
    ("keys", "dark cyan", ""),
    ("idle", "dark gray", ""),
]


class Screen:
    """Shows what a stream of intervals says, until q or its end."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._top = Top()
        self._paused = False
        self._helping = False
        self._unfinished = b""
        self._failure: Exception | None = None
        self._summary = urwid.Text("")
        self._colour = urwid.AttrMap(self._summary, "good")
        self._heading = urwid.Text("", wrap="clip")
        self._walker = urwid.SimpleFocusListWalker([])
        head = urwid.Pile([self._colour, urwid.AttrMap(self._heading, "heading")])
        self._footer = urwid.Text(_KEYS)
        self._loop = urwid.MainLoop(
            urwid.Frame(urwid.ListBox(self._walker), head, urwid.AttrMap(self._footer, "keys")),
            _PALETTE,
            unhandled_input=self._key,
            input_filter=self._resized,
            handle_mouse=False,
        )

    def run(self) -> None:
        """Until somebody leaves. Raises what ended the stream."""
        self._draw()
        pipe = self._loop.watch_pipe(self._heard)
        threading.Thread(target=self._listen, args=(pipe,), daemon=True).start()
        try:
            self._loop.run()
        except KeyboardInterrupt:
            return
        if self._failure is not None:
            raise self._failure

    def _listen(self, pipe: int) -> None:
        """In a thread: hand the lines on, and an empty one at the end."""
        try:
            for line in self._lines:
                rest = line
                while rest:
                    rest = rest[os.write(pipe, rest) :]
        except Exception as error:
            self._failure = error
        os.write(pipe, b"\n")

    def _heard(self, data: bytes) -> None:
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            if not line:
                raise urwid.ExitMainLoop
            if not self._paused:
                self._top.take(client.value_of(line))
                self._draw()

    def _resized(self, keys: list[Any], raw: list[int]) -> list[Any]:
        if "window resize" in keys:
            self._draw()
        return keys

    def _key(self, key: Any) -> None:
        if key in ("q", "Q", "esc"):
            raise urwid.ExitMainLoop
        if key == "tab":
            self._top.next_part()
        elif key in ("1", "2", "3"):
            self._top.part = PARTS[int(key) - 1]
        elif key == "s":
            self._top.next_order()
        elif key == "p":
            self._paused = not self._paused
        elif key in ("?", "h"):
            self._helping = not self._helping
        self._draw()

    def _draw(self) -> None:
        top = self._top
        columns, _ = self._loop.screen.get_cols_rows()
        self._summary.set_text("\n".join(top.summary()))
        self._colour.set_attr_map({None: "bad" if top.is_lossy() else "good"})
        self._heading.set_text("" if self._helping else top.heading(columns))
        paused = " PAUSED" if self._paused else ""
        self._footer.set_text(f"by {top.order}{paused}   {_KEYS}")
        if self._helping:
            self._walker[:] = [urwid.Text(line) for line in _help(columns)]
        else:
            self._walker[:] = [_row(row, columns) for row in top.rows()] or [
                urwid.Text(top.nothing(), wrap="space")
            ]


def _help(columns: int) -> Iterator[str]:
    for label, text in _HELP:
        yield from wrapped(f"{label:<12}" if label else "", text, columns)


def _row(row: Row, columns: int) -> Any:
    text = urwid.Text(row.line(columns), wrap="clip")
    return urwid.AttrMap(text, None if row.exits_per_second else "idle")
