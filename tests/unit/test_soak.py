"""tests.soak: what it takes for growth, and for a whole account"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.soak.account import Account
from tests.soak.growth import Growth

_MIB = 1 << 20


def _grown(bytes_per_second: float, fds_per_second: float = 0.0) -> Growth:
    """Twenty minutes with storms, each of which takes some memory for a while."""
    growth = Growth()
    for second in range(1200):
        storm = _MIB if second % 20 < 5 else 0
        resident = 50 * _MIB + storm + int(bytes_per_second * second)
        growth.add(float(second), resident, 20 + int(fds_per_second * second))
    return growth


def test_what_goes_up_and_down_is_flat() -> None:
    """Storms do not count; a leak of 32 KiB a minute does, and so do file descriptors.

    What is taken for a while and given back is no leak, nor are tables that fill up.
    """
    assert _grown(0).is_flat()
    assert _grown(-100).is_flat()
    assert not _grown(32 * 1024 / 60).is_flat()
    filling = _grown(0)
    filling.points[:300] = [(x, y - 8 * _MIB, fds) for x, y, fds in filling.points[:300]]
    filling.points[800:1000] = [(x, y + _MIB, fds) for x, y, fds in filling.points[800:1000]]
    assert filling.is_flat()
    assert not _grown(0, fds_per_second=0.01).is_flat()


def _line(action: str, seq: int, count: int = 1) -> str:
    inside = {"cpu": 0, "seq": seq} | ({"lost": {"count": count}} if action == "lost" else {})
    return json.dumps({"event": {"action": action}, "agentd": inside}) + "\n"


def test_an_account(tmp_path: Path) -> None:
    """Output is read as it grows; what is cut off waits, what comes twice counts once."""
    output = tmp_path / "out"
    account = Account()
    output.write_text(_line("fork", 0) + _line("exec", 1)[:10])
    account.read(output)
    assert account.told == {"fork": 1}
    output.write_text(_line("fork", 0) + _line("exec", 1) + _line("fork", 0) + _line("lost", 2, 2))
    account.read(output)
    assert account.told == {"fork": 1, "exec": 1, "lost": 2}
    assert account.repeated == 1
    assert account.is_exact(Counter(fork=1, exec=1, exit=2))
    assert not account.is_exact(Counter(fork=2, exec=1, exit=2))
    assert not account.is_exact(Counter(fork=0, exec=2, exit=2))
    account.ended('{"event": "stopped", "imbalance": 1}\n')
    assert not account.is_exact(Counter(fork=1, exec=1, exit=2))
