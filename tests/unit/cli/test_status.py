"""agentd.cli.status"""

from __future__ import annotations

from typing import Any

import pytest

from agentd.cli.status import is_well, render
from agentd.terminal.width import width

GREEN, YELLOW, RED = "\x1b[32m", "\x1b[33m", "\x1b[31m"

LOST: dict[str, Any] = {"lost": 7, "lost_by_stage": {"reserve": 4, "decode": 3}}


def _answer(**fields: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0", "core": "compiled", "kernel": "6.18.44",
        "pid": 14048, "uptime_seconds": 4.0,
        "healthy": True, "reason": "ok",
        "transport": {"kind": "ringbuf", "buffer_bytes": 4 << 20, "used_bytes": 1 << 20},
        "events": {"fork": 14, "exec": 15, "exit": 13},
        "inferred": 0, "imbalance": 0, "late": 0,
        "lost": 0, "lost_by_stage": {}, "seconds_since_lost": None, "losing": False,
        "latency_seconds": {"p50": 0.025, "p99": 0.05},
        "tree": {"live": 82, "live_capacity": 131072, "exited": 13, "ancestors": 0},
        "sinks": [{"name": "stdout", "written": 42, "dropped": 0, "queued": 0, "failure": ""}],
        "helper_failures": {"processes": 0, "users": 0},
        "front_failures": 0,
        "snapshot_failures": 0,
        "cpu_seconds": 1.0, "resident_bytes": 40 << 20,
    } | fields  # fmt: skip


def _shown(colour: bool = True, columns: int | None = None, **fields: Any) -> str:
    now = _answer(**fields)
    return render(now, now, colour=colour, columns=columns)


@pytest.mark.parametrize("columns", [100, 80, 44, 40])
def test_it_fits_a_terminal(columns: int) -> None:
    """Words stay whole, and what is below a label stands behind it."""
    lines = _shown(False, columns, late=4, **LOST).splitlines()
    assert all(width(line) <= columns for line in lines)
    words = " ".join(line.strip() for line in lines).split()
    assert words == _shown(False, late=4, **LOST).split()
    assert all(line[:10].strip() == "" or line[10] == " " for line in lines[3:])


RECENT = {**LOST, "losing": True, "seconds_since_lost": 9.0}
PAST = {**LOST, "seconds_since_lost": 601.0}
STALLED = {"healthy": False, "reason": "stalled: no round for 9 s"}


@pytest.mark.parametrize(
    ("fields", "colour", "word", "why"),
    [
        ({}, GREEN, "good", ""),
        (RECENT, YELLOW, "good, with losses", ""),
        (PAST, GREEN, "good", ""),
        (STALLED, RED, "NOT WELL", "stalled: no round for 9 s"),
        ({"imbalance": -3}, RED, "NOT WELL", "imbalance -3"),
    ],
)
def test_at_a_glance(fields: dict[str, Any], colour: str, word: str, why: str) -> None:
    """Green, yellow for some time after a loss, red if it is not well; and then it says why."""
    assert is_well(_answer(**fields)) == (colour != RED)
    assert _shown(**fields).startswith(f"{colour}● {word}\x1b[0m  ")
    plain = _shown(False, **fields)
    assert "\x1b" not in plain
    assert plain.splitlines()[1].strip() == why


def test_which_form_runs() -> None:
    """Compiled or from source stands behind the version."""
    assert " 0.1.0 (compiled), pid 14048," in _shown(False)
    assert " 0.1.0 (source), pid 14048," in _shown(False, core="source")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(75.0, "the last 1 min 15 s ago"), (None, "before it began")],
)
def test_losses_by_stage(seconds: float | None, words: str) -> None:
    """Where they were lost, and how long ago."""
    shown = _shown(False, **LOST, seconds_since_lost=seconds)
    assert f"lost       7 events (4 reserve, 3 decode; {words}), imbalance 0\n" in shown
    assert "lost       0 events, imbalance 0\n" in _shown(False)


@pytest.mark.parametrize(
    ("size", "words"),
    [(4096, "4 KiB"), (1 << 19, "512 KiB"), (4 << 20, "4 MiB"), (3 << 29, "1.5 GiB")],
)
def test_sizes(size: int, words: str) -> None:
    """In the unit that they are spoken of in."""
    transport = {"kind": "ringbuf", "buffer_bytes": size, "used_bytes": 0}
    assert f"transport  ringbuf, {words}, 0.0 % full\n" in _shown(False, transport=transport)


def test_no_latency() -> None:
    """Nothing happened of late."""
    assert "no events lately" in _shown(False, latency_seconds={"p50": None, "p99": None})


def test_helpers_that_failed() -> None:
    """Those that did, and how often; nothing is said of the others."""
    assert "helpers" not in _shown(False)
    failures = {"processes": 0, "users": 1200, "canary": 1}
    assert "helpers    failed: users 1,200, canary 1\n" in _shown(False, helper_failures=failures)
    assert "helpers    failed: front 2\n" in _shown(False, front_failures=2)
