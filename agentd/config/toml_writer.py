"""Values as TOML; the standard library only reads it."""

from __future__ import annotations

from typing import Any

from agentd.terminal.escape import shortened

_SHOWN_BITS = 128
_SHOWN_ELEMENTS = 8


def inline(value: Any) -> str:
    """A number, text, truth or list, on one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def shown(value: Any) -> str:
    """Any value for an error message: printable, on one line, shortened where it is long."""
    if isinstance(value, dict):
        return "{…}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return "a very large number"
    if isinstance(value, tuple | list):
        parts = ["[…]" if isinstance(part, list) else shown(part) for part in value]
        more = ["…"] if len(parts) > _SHOWN_ELEMENTS else []
        return f"[{', '.join(parts[:_SHOWN_ELEMENTS] + more)}]"
    return shortened(inline(value))


def key_lines(name: str, value: Any) -> list[str]:
    """The lines that give a key its value; a list has one for each of its own."""
    if isinstance(value, tuple):
        return [f"{name} = [", *(f"    {inline(each)}," for each in value), "]"]
    return [f"{name} = {inline(value)}"]
