"""Text that a terminal shows and never obeys."""

from __future__ import annotations


def printable(text: str) -> str:
    """What cannot be printed stands as \\x… or \\u… escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_SHOWN_CHARACTERS = 200


def shortened(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    """A text for an error message: printable, and cut where it is long."""
    return printable(text if len(text) <= most else f"{text[:most]}…")
