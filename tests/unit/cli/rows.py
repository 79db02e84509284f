"""Processes as /v1/processes describes them."""

from __future__ import annotations

from typing import Any


def row(pid: int = 10, **fields: Any) -> dict[str, Any]:
    """A live one; ``exit_code`` and ``signal`` say that it has ended."""
    made = {
        "pid": pid,
        "entity_id": f"0123456789abcdef-{pid}-{pid * 1000}",
        "start": f"2026-11-23T14:00:{pid % 60:02d}.000000000Z",
        "name": "sh",
        "executable": "/bin/sh",
        "args": ["sh"],
        "live": not {"exit_code", "signal", "end"} & set(fields),
        "depth": 1,
        "parent": None,
        "parent_unknown": None,
        "creator": None,
        "user": {"id": "0", "name": "root"},
        "container": None,
        "unit": None,
        "finished_cpu_seconds": 0.0,
        "exit_code": None,
        "signal": None,
        "core_dumped": None,
    }
    return made | fields
