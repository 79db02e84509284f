"""What of an output is the same whenever and wherever it is made."""

from __future__ import annotations

import json
import re
from typing import Any

_VARYING = (
    (re.compile(r"\b[0-9a-f]{16}-\d+-\d+\b|\b[0-9a-f]{16}\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?|\d\d:\d\d:\d\d\.\d+"), "TIME"),
    (re.compile(r"\d[\d,.]*(?:e-\d+,?)?"), "#"),
    (re.compile(r"# (?:min # s|ns|µs|ms|s|min|h)\b"), "# TIME"),
    (re.compile(r"# (?:(?:fork|exec|exit) )?events?\b"), "# events"),
    (re.compile(r"\((?:compiled|source)\)"), "(CORE)"),
    (re.compile(r"[ \t]+"), " "),
)
_OF_THE_HOST = {
    "audit_session", "container", "entry_leader", "group_leader", "login_uid", "session_leader",
    "kind", "slice", "suspect", "tty", "unit",
}  # fmt: skip
"""Fields that are there or not as agentd was started by this or by that, or as chance has it."""
_LINES_OF_THE_HOST = ("came by ", "login ", "suspect ", "tty ", "# gaps with ")


def shape(text: str) -> list[str]:
    """The lines without times, numbers and widths, each once, in an order of their own.

    What runs at once on two CPUs happens in this order or in that, and is lost on one or on both.
    """
    if text.startswith("{"):
        text = "\n".join(json.dumps(_of_any_host(value)) for value in values(text))
    for shape, sign in _VARYING:
        text = shape.sub(sign, text)
    lines = {line.strip() for line in text.splitlines()}
    return sorted(line for line in lines if not line.startswith(_LINES_OF_THE_HOST))


def values(text: str) -> list[Any]:
    """JSON values one behind the other, however they are broken into lines."""
    decoder, place, found = json.JSONDecoder(), 0, []
    while place < len(text.rstrip()):
        value, place = decoder.raw_decode(text, place)
        place += len(text[place:]) - len(text[place:].lstrip())
        found.append(value)
    return found


def _of_any_host(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _of_any_host(inner) for n, inner in value.items() if n not in _OF_THE_HOST}
    return value
