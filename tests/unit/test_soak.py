"""tests.soak: what it takes for growth, and for a whole account"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.soak.account import Account
from tests.soak.growth import Growth, Sample

_MIB = 1 << 20


def _grown(
    bytes_per_second: float = 0, blocks_per_second: float = 0, fds_per_second: float = 0
) -> Growth:
    """Twenty minutes with storms, each of which takes some memory for a while."""
    growth = Growth()
    for second in range(1200):
        storms = int(second % 20 < 5)
        resident = 50 * _MIB + storms * _MIB + int(bytes_per_second * second)
        blocks = 250_000 + storms * 10_000 + int(blocks_per_second * second)
        fds = 20 + int(fds_per_second * second)
        growth.samples.append(Sample(second, resident, blocks, fds))
    return growth


def _more(samples: list[Sample], blocks: int) -> list[Sample]:
    return [replace(sample, blocks=sample.blocks + blocks) for sample in samples]


def test_what_goes_up_and_down_is_flat() -> None:
    """Storms do not count, nor what is taken for a while and given back, nor tables that fill."""
    assert _grown().is_flat()
    assert _grown(bytes_per_second=-100).is_flat()
    filling = _grown()
    filling.samples[:300] = _more(filling.samples[:300], -50_000)
    filling.samples[800:1000] = _more(filling.samples[800:1000], 50_000)
    assert filling.is_flat()


def test_what_goes_up_only_has_grown() -> None:
    """Six blocks a scrape, an arena of Python's allocator, a file descriptor now and then."""
    assert not _grown(blocks_per_second=6).is_flat()
    assert not _grown(bytes_per_second=1.1 * _MIB / 400).is_flat()
    assert not _grown(fds_per_second=0.01).is_flat()


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
