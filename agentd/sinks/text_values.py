"""Bytes of the kernel as text in JSON, and as base64 where they are no text."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quote


def as_text(value: bytes) -> str:
    """Text; what is not UTF-8 becomes U+FFFD, and the bytes go out as ``agentd.raw``."""
    return value.decode("utf-8", "replace")


def named(number: int, name: str | None) -> str:
    """Members of an object: an id, and what it is called if that is known."""
    return f'"id":"{number}"{f""","name":{_quote(name)}""" if name else ""}'


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
