"""Standard output of the commands: the one place that writes there.

A reader that has left (``| head``) ends a command as SIGPIPE ends others: without a word, with
exit code 141 in a shell. What cannot be written, for instance on a full disk, is an error.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from typing import TextIO

from agentd.core.text import as_text
from agentd.errors import AgentdError
from agentd.terminal import encoding
from agentd.terminal.escape import printable_lines


class ReaderGoneError(AgentdError):
    """Nobody reads standard output any more; there is nobody to tell, either."""

    exit_code = 128 + signal.SIGPIPE


class OutputError(AgentdError):
    """Standard output cannot be written."""

    exit_code = os.EX_IOERR


def prepare() -> None:
    """Make text of any kind writable, whatever the encoding of standard output is."""
    encoding.never_fail(sys.stdout)


def is_terminal() -> bool:
    """Whether a person may look at it."""
    return sys.stdout is not None and sys.stdout.isatty()


def columns() -> int | None:
    """Of the terminal; no limit where it is none."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def is_coloured() -> bool:
    """Whether to use colours: on a terminal that has them, unless NO_COLOR asks for none."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write(text: str) -> None:
    """Write text. Raises ReaderGoneError and OutputError, as all here do.

    Much of it is what a server answered: a terminal gets lines and colours, and no other commands.
    """
    shown = printable_lines(text, colours=True)
    _tried(lambda stdout: stdout.write(shown))


def write_bytes(data: bytes) -> None:
    """Write what is no text."""
    _tried(lambda stdout: stdout.buffer.write(data))


def write_utf8(data: bytes) -> None:
    """Write text that is encoded already; encode it again where the terminal needs that."""
    if sys.stdout is None or encoding.is_utf8(sys.stdout):
        write_bytes(data)
    else:
        write(as_text(data))


def write_lines(lines: Iterable[str], *, at_once: bool = False) -> None:
    """Write lines, each with its end; ``at_once``: more of them come later."""
    for line in lines:
        write(f"{line}\n")
        if at_once:
            flush()


def note(text: str) -> None:
    """Tell a person something beside what was asked for, on standard error."""
    with contextlib.suppress(OSError):  # nobody can be told of that
        print(f"agentd: {printable_lines(text)}", file=sys.stderr)


def flush() -> None:
    """Let the reader have all that was written."""
    if sys.stdout is not None:
        _tried(lambda stdout: stdout.flush())


def _tried(step: Callable[[TextIO], object]) -> None:
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    try:
        step(sys.stdout)
    except BrokenPipeError:
        _let_go()
        raise ReaderGoneError("the reader of standard output has left") from None
    except OSError as error:
        _let_go()
        raise OutputError(f"cannot write to standard output: {error.strerror}") from None


def _let_go() -> None:
    """What Python would still flush at its end goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
