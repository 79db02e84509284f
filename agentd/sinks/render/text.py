"""Entries as lines for people: aligned, coloured on a terminal, and safe to print."""

from __future__ import annotations

import shlex
import time

from agentd.core.batch import Batch
from agentd.core.exit_status import read_exit_code
from agentd.core.pipeline import Entry
from agentd.core.text import as_escaped
from agentd.core.tree.process import Applied, Image, Notes
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import NO_CPU, Exec, Exit, Fork, Lost
from agentd.terminal.escape import printable

HEADING = f"{'TIME':<15} {'EVENT':<5} {'PID':>7} {'PARENT':>7} {'UID':>5}  WHAT\n"

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_COLOURS = {"fork": "\x1b[34m", "exec": "\x1b[32m", "exit": "\x1b[33m", "lost": "\x1b[1;31m"}
_FAILED = "\x1b[31m"


class TextRenderer:
    """Renders batches as text: the time of day, durations in seconds.

    ``utc_offset_seconds``: of the reader's time from UTC; None for this process's local time.
    """

    def __init__(
        self, kind_names: tuple[str, ...], utc_offset_seconds: int | None = None, *, colour: bool
    ) -> None:
        self._kind_names = kind_names
        self._utc_offset_seconds = utc_offset_seconds
        self._colour = colour

    def render(self, batch: Batch) -> bytes:
        """One line for each entry."""
        lines = [self._line(entry, batch.wall_offset_ns) for entry in batch.entries]
        return "".join(lines).encode()

    def _line(self, entry: Entry, offset_ns: int) -> str:
        if isinstance(entry, Inferred):
            return self._inferred(entry, offset_ns)
        if isinstance(entry, Lost):
            when = self._when(entry.boottime_ns + offset_ns)
            kind = "" if entry.kind is None else f"{self._kind_names[entry.kind]} "
            where = "" if entry.cpu == NO_CPU else f" on cpu {entry.cpu}"
            what = f"{entry.missing} {kind}events missed{where} ({entry.stage})"
            action = self._paint(_COLOURS["lost"], "lost ")
            return (
                f"{when} {action} {'':>7} {'':>7} {'':>5}  {self._paint(_COLOURS['lost'], what)}\n"
            )
        event = entry.event
        when = self._when(event.boottime_ns + offset_ns)
        name = self._kind_names[event.kind]
        action = self._paint(_COLOURS[name], f"{name:<5}")
        undecided = entry.doubt.undecided if entry.doubt is not None else ""
        note = f" {self._paint(_DIM, f'undecided by {undecided}')}" if undecided else ""
        return (
            f"{when} {action} {event.tgid:>7} {event.parent_tgid:>7} {event.uid:>5}"
            f"  {self._what(entry)}{note}\n"
        )

    def _inferred(self, entry: Inferred, offset_ns: int) -> str:
        when = self._when(entry.boottime_ns + offset_ns)
        name = self._kind_names[entry.kind]
        action = self._paint(_COLOURS[name], f"{name:<5}")
        uid = "" if entry.user is None else str(entry.user[0])
        note = self._paint(_DIM, "inferred")
        return (
            f"{when} {action} {entry.key[0]:>7} {entry.parent[0]:>7} {uid:>5}"
            f"  {_command(entry.image)} {note}\n"
        )

    def _what(self, applied: Applied) -> str:
        event, image = applied.event, applied.image
        if isinstance(event, Exec):
            cut = " …" if event.args_bytes < event.args_total_bytes else ""
            return f"{_command(image)}{cut}"
        name = _text(image.name)
        if isinstance(event, Fork):
            return self._paint(_DIM, name)
        return f"{name} {self._how_it_ended(event)}"

    def _how_it_ended(self, event: Exit) -> str:
        status, signal, core_dumped = read_exit_code(event.exit_code)
        seconds = (event.boottime_ns - event.start_boottime_ns) / 1e9
        after = self._paint(_DIM, f"after {seconds:.3f} s")
        if signal is not None:
            word = f"signal {signal}{', core dumped' if core_dumped else ''}"
            return f"{self._paint(_FAILED, word)} {after}"
        return f"{self._paint(_FAILED, f'status {status}') if status else 'ok'} {after}"

    def _when(self, wall_ns: int) -> str:
        second, ns = divmod(wall_ns, 1_000_000_000)
        if self._utc_offset_seconds is None:
            local = time.localtime(second)
        else:
            local = time.gmtime(second + self._utc_offset_seconds)
        return self._paint(_DIM, f"{time.strftime('%H:%M:%S', local)}.{ns // 1000:06d}")

    def _paint(self, code: str, text: str) -> str:
        return f"{code}{text}{_RESET}" if self._colour else text


def _text(value: bytes) -> str:
    """What is not UTF-8, and what a terminal would obey, as escapes."""
    return printable(as_escaped(value))


def _command(image: Image) -> str:
    """The executable as given, then the arguments behind the first."""
    args = image.args.split(b"\0")
    words = [image.executable or image.name, *args[1:]]
    if image.args.endswith(b"\0"):
        words.pop()
    cut = " …" if image.notes & Notes.ARGS_FORGOTTEN else ""
    return " ".join(_word(word) for word in words) + cut


def _word(value: bytes) -> str:
    return shlex.quote(_text(value))
