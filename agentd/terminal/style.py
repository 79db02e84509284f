"""How processes are told to people, in all commands."""

from __future__ import annotations

import shlex
import time
from datetime import datetime
from typing import Any

from agentd.terminal.escape import printable

RESET, DIM, BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
RED, GREEN, YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"


def paint(code: str, text: str, *, colour: bool) -> str:
    """Coloured text, on a terminal."""
    return f"{code}{text}{RESET}" if colour else text


def command(image: dict[str, Any]) -> str:
    """The program and its arguments, as one would type them."""
    program = image["executable"] or image["name"]
    words = " ".join(shlex.quote(printable(word)) for word in (program, *image["args"][1:]))
    return f"{words} … (arguments forgotten)" if "args" in image.get("forgotten", ()) else words


def ending(process: dict[str, Any]) -> str:
    """How a process ended."""
    if process["signal"] is not None:
        core = ", core dumped" if process["core_dumped"] else ""
        return f"by signal {process['signal']}{core}"
    if process["exit_code"] is not None:
        return f"with status {process['exit_code']}"
    return "found gone"


def has_failed(process: dict[str, Any]) -> bool:
    """Whether a process ended by a signal, or with a status other than 0."""
    return process["signal"] is not None or bool(process["exit_code"])


def moment(text: str) -> str:
    """Date and time in the reader's zone, to the millisecond."""
    return f"{_local(text):%Y-%m-%d %H:%M:%S}.{text[20:23]}"


def moment_and_offset(text: str) -> str:
    """The same with the zone's offset from UTC."""
    return _local(text).isoformat(" ", "milliseconds")


def moment_briefly(text: str) -> str:
    """The time of today in the reader's zone, or else the month and day."""
    when = _local(text)
    today = datetime.now().astimezone().date()
    return f"{when:%H:%M:%S}" if when.date() == today else f"{when:%m-%d}"


def utc_offset_seconds() -> int:
    """What the reader's zone adds to UTC now."""
    return time.localtime().tm_gmtoff


def _local(text: str) -> datetime:
    """A moment as answers have it, in UTC with ns, in the reader's zone (TZ, /etc/localtime)."""
    return datetime.fromisoformat(f"{text[:23]}+00:00").astimezone()
