"""agentd.scanning"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentd import procfs, scanning


def test_the_loop_runs_between_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processes there are, others get their turn, and all are found."""
    monkeypatch.setattr(scanning, "SLICE_SECONDS", 0.0)
    for pid in range(1, 51):
        folder = tmp_path / str(pid)
        folder.mkdir()
        fields = "S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0"
        (folder / "stat").write_text(f"{pid} (x) {fields}")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> int:
        task = asyncio.create_task(other())
        found = await scanning.scan_in_slices("", str(tmp_path))
        task.cancel()
        return len(found)

    assert asyncio.run(main()) == len(list(procfs.observe(str(tmp_path)))) == 50
    assert turns >= 50
