"""Text that a terminal shows and never obeys."""

from __future__ import annotations


def printable(text: str) -> str:
    """What cannot be printed stands as \\x… or \\u… escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
