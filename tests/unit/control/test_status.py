"""agentd.control.status"""

from __future__ import annotations

from typing import Any

import pytest

from agentd.control.status import render
from agentd.control.widths import width

GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"


def _answer(**fields: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0", "kernel": "6.18.44", "pid": 14048, "uptime_seconds": 4.0,
        "healthy": True, "reason": "ok",
        "transport": {"kind": "ringbuf", "buffer_bytes": 4 << 20, "used_bytes": 1 << 20},
        "events": {"fork": 14, "exec": 15, "exit": 13},
        "inferred": 0, "lost": 0, "imbalance": 0, "late": 0,
        "latency_seconds": {"p50": 0.025, "p99": 0.05},
        "tree": {"live": 82, "live_capacity": 131072, "exited": 13, "ancestors": 0},
        "sinks": [{"name": "stdout", "written": 42, "dropped": 0, "queued": 0, "failure": ""}],
        "cpu_seconds": 1.0, "resident_bytes": 40 << 20,
    } | fields  # fmt: skip


def _shown(colour: bool = True, columns: int | None = None, **fields: Any) -> str:
    now = _answer(**fields)
    return render(now, now, colour=colour, columns=columns)


@pytest.mark.parametrize("columns", [100, 80, 44, 40])
def test_it_fits_a_terminal(columns: int) -> None:
    """Words stay whole, and what is below a label stands behind it."""
    lines = _shown(False, columns, lost=3, late=4).splitlines()
    assert all(width(line) <= columns for line in lines)
    words = " ".join(line.strip() for line in lines).split()
    assert words == _shown(False, lost=3, late=4).split()
    assert all(line[:10].strip() == "" or line[10] == " " for line in lines[3:])
