"""Text for terminals whose encoding lacks some characters: it is shown, in other characters."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

NAME = "agentd.terminal"
"""The name of the error handler, for ``errors=``."""
_SUBSTITUTES = str.maketrans("│├└─┄…●→µ↑↓“”’", '||`-:~*>u^v""\'')
"""One column for one column, so that tables keep their shape."""


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """Drawings in ASCII; any other character as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = "".join(
        new if new != old else old.encode("ascii", "backslashreplace").decode()
        for old, new in zip(text, text.translate(_SUBSTITUTES), strict=True)
    )
    return plain, error.end


codecs.register_error(NAME, _substitute)


def never_fail(stream: object) -> None:
    """Have a text stream substitute what its encoding lacks."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=NAME)


def is_utf8(stream: TextIO) -> bool:
    """Whether UTF-8 can be written to the stream's buffer as it is."""
    return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"
