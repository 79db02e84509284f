"""Text that a terminal shows and never obeys."""

from __future__ import annotations

import re
from pathlib import Path

_LINES = re.compile(r"(\n)")
_LINES_AND_COLOURS = re.compile(r"(\n|\x1b\[[\d;]*m)")


def printable(text: str) -> str:
    """What cannot be printed stands as \\x… or \\u… escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str, *, colours: bool = False) -> str:
    """The same for a text of several lines; ``colours``: SGR sequences stay, too."""
    if text.replace("\n", "").isprintable():
        return text
    parts = (_LINES_AND_COLOURS if colours else _LINES).split(text)
    return "".join(part if at % 2 else printable(part) for at, part in enumerate(parts))


def printable_path(path: str | Path) -> str:
    """A path for a message: a name may have a line end in it, and begin a line of its own."""
    return printable(str(path))


_SHOWN_CHARACTERS = 200


def shortened(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    """A text for an error message: printable, and cut where it is long."""
    return printable(text if len(text) <= most else f"{text[:most]}…")
