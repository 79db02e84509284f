"""Plain values as bytes, between processes of ours: msgpack."""

from __future__ import annotations

from typing import Any

import msgpack


def pack(value: Any) -> bytes:
    """Numbers, texts, bytes, and lists and maps of them."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(data: bytes) -> Any:
    """The same again; lists are tuples. Raises ValueError on other bytes."""
    return msgpack.unpackb(data, use_list=False, strict_map_key=False)
