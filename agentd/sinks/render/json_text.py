"""Text as JSON, and as base64 where it is no text; times."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quote
from typing import Final

from agentd.core.text import as_text, clean

SECOND_NS: Final = 1_000_000_000


def quoted(value: bytes) -> str:
    """A JSON string; where the bytes are not UTF-8, they leave as ``agentd.raw`` as well."""
    return _quote(as_text(value))


def quoted_text(text: str) -> str:
    """A JSON string of what is text already."""
    return _quote(clean(text))


def named(number: int, name: str | None) -> str:
    """Members of an object: an id, and what it is called if that is known."""
    return f'"id":"{number}"{f""","name":{quoted_text(name)}""" if name else ""}'


def raw_parts(values: Mapping[str, bytes]) -> str:
    """Members of ``agentd.raw``, joined by commas: those values that are not UTF-8."""
    return ",".join(
        f'"{name}":"{base64.b64encode(value).decode("ascii")}"'
        for name, value in values.items()
        if not _is_utf8(value)
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def nine_digits(ns: int) -> str:
    """Nanoseconds of a second. Compiled, a format takes ten times as long."""
    return str(SECOND_NS + ns)[1:]


def seconds(ns: int) -> str:
    """Nanoseconds as seconds."""
    if 0 <= ns < SECOND_NS:
        return "0." + nine_digits(ns)
    return f"{ns // SECOND_NS}.{nine_digits(ns % SECOND_NS)}"
