"""Recordings of real runs: what agentd makes of them stays the same, byte for byte."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.fixtures.make import PLANS, output_of, recording_of, replayed


@pytest.mark.parametrize("name", PLANS)
def test_a_recording_gives_what_it_gave(tmp_path: Path, name: str) -> None:
    """Where this fails on purpose, ``make fixtures`` makes them anew on a live kernel."""
    path = tmp_path / "recording"
    path.write_bytes(gzip.decompress(recording_of(name).read_bytes()))
    written = replayed(path).decode().splitlines()
    expected = gzip.decompress(output_of(name).read_bytes()).decode().splitlines()
    assert written == expected


def test_they_hold_what_they_are_for() -> None:
    """Losses and what was inferred after them, signals, statuses, redacted arguments."""
    lines = {
        name: [
            json.loads(line) for line in gzip.decompress(output_of(name).read_bytes()).splitlines()
        ]
        for name in PLANS
    }
    for name in ("losses-ring", "losses-perf"):
        actions = Counter(line["event"]["action"] for line in lines[name])
        assert set(actions) == {"fork", "exec", "exit", "lost"}
        assert any(line["agentd"]["flags"] == ["inferred"] for line in lines[name])
        assert any("suspect" in line["agentd"] for line in lines[name])
    life = lines["life"]
    assert any(line["agentd"].get("signal") == 9 for line in life)
    assert {3, 4} <= {line["process"].get("exit_code") for line in life}
    assert any("[redacted]" in arg for line in life for arg in line["process"].get("args", []))
    assert all(
        line["event"]["action"] != "lost" for name in ("life", "busy-perf") for line in lines[name]
    )
