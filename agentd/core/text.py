"""Bytes as text: the one gate that every string passes before it leaves agentd.

Names, paths and arguments are bytes that any user chooses. Python's own way (``surrogateescape``)
keeps bytes that are not UTF-8 as lone surrogates, which strict readers of JSON, MessagePack and
UTF-8 refuse. So foreign bytes become text here and nowhere else, and no lone surrogate leaves.
"""

from __future__ import annotations

import re
from typing import Any

_SURROGATES = re.compile(r"[\ud800-\udfff]")


def as_text(value: bytes) -> str:
    """UTF-8 as text; U+FFFD stands for what is not."""
    return value.decode("utf-8", "replace")


def as_escaped(value: bytes) -> str:
    r"""UTF-8 as text for people; ``\xff`` stands for a byte that is not."""
    return value.decode("utf-8", "backslashreplace")


def clean(text: str) -> str:
    """Text from elsewhere (the command line, the name service); U+FFFD for a lone surrogate."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def cleaned(value: Any) -> Any:
    """The same of every text in a value of lists, tuples and dicts."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, tuple):
        return tuple([cleaned(item) for item in value])
    return value
