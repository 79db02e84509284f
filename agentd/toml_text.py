"""Values as TOML; the standard library only reads it."""

from __future__ import annotations

from typing import Any


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


def key_lines(name: str, value: Any) -> list[str]:
    """The lines that give a key its value; a list has one for each of its own."""
    if isinstance(value, tuple):
        return [f"{name} = [", *(f"    {inline(each)}," for each in value), "]"]
    return [f"{name} = {inline(value)}"]
