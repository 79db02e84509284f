"""How much room text takes on a terminal, and how it is made to fit.

A character takes none (combining), one or two columns (CJK), and a colour (SGR) takes none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from wcwidth import wcwidth

_COLOURS = re.compile(r"(\x1b\[[\d;]*m)")


def width(text: str) -> int:
    """Columns that a printable text takes."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    return len(text) if text.isascii() else sum(max(0, wcwidth(c)) for c in text)


def cut(text: str, columns: int) -> str:
    """At most so many columns, with an ellipsis where something is missing; colours stay."""
    if width(text) <= columns:
        return text
    kept: list[str] = []
    left, is_whole = columns - 1, True
    for part in _parts(text):
        if _COLOURS.match(part):
            kept.append(part)
        elif is_whole and width(part) <= left:
            kept.append(part)
            left -= width(part)
        elif is_whole:
            kept.append("…" if columns > 0 else "")
            is_whole = False
    return "".join(kept)


def left_out(text: str, start: int, end: int) -> str:
    """Without the columns from ``start`` up to ``end``; colours stay."""
    kept, at = [], 0
    for part in _parts(text):
        if not start <= at < end or _COLOURS.match(part):
            kept.append(part)
        at += width(part)
    return "".join(kept)


def justified(text: str, columns: int, *, right: bool = False) -> str:
    """Cut or filled up to exactly so many columns, at the left or at the right."""
    text = cut(text, columns)
    space = " " * (columns - width(text))
    return f"{space}{text}" if right else f"{text}{space}"


def wrapped(prefix: str, text: str, columns: int | None) -> Iterator[str]:
    """The text behind a prefix in lines of at most so many columns, broken between words.

    The lines below are indented by the prefix; a word that is longer than a line is broken.
    """
    if columns is None:
        yield f"{prefix}{text}"
        return
    margin = " " * min(width(prefix), columns // 2)
    line, is_empty = prefix, True
    for word in text.split(" "):
        longer = f"{line}{word}" if is_empty else f"{line} {word}"
        if width(longer) > columns and not is_empty:
            yield line
            longer = f"{margin}{word}"
        while width(longer) > columns:
            at = _fitting(longer, columns)
            yield longer[:at]
            longer = f"{margin}{longer[at:]}"
        line, is_empty = longer, False
    yield line


def narrowed(
    widths: Mapping[str, int], steps: Iterable[tuple[str, int]], room: int, gap: int
) -> dict[str, int]:
    """Columns of a table that fit together, by name, in their order.

    ``widths``: what each would take; ``steps``: what to give up, one after the other: a name, and
    how wide it is from then on; 0 for not at all. ``gap``: columns between two.
    """
    kept = dict(widths)
    for name, less in steps:
        if sum(kept.values()) + gap * (len(kept) - 1) <= room:
            break
        if less and name in kept:
            kept[name] = min(kept[name], less)
        else:
            kept.pop(name, None)
    return kept


def _parts(text: str) -> Iterator[str]:
    """Each colour and each character."""
    for number, part in enumerate(_COLOURS.split(text)):
        if number % 2:
            yield part
        else:
            yield from part


def _fitting(text: str, columns: int) -> int:
    """How many characters from the beginning on take at most so many columns; at least one."""
    characters = taken = 0
    for part in _parts(text):
        taken += width(part)
        if taken > columns:
            break
        characters += len(part)
    return max(1, characters)
