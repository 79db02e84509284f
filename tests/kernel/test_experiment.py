"""``agentd bench transport`` on the live kernel: what the source article found, and its cure."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agentd.errors import ConfigError
from agentd.experiment import command, run
from agentd.experiment.command import Options
from agentd.experiment.run import Outcome, Plan
from tests.cgroup import Cgroup

MEMORY_BYTES = 4 << 20


@pytest.fixture(scope="module")
def folder(cgroup: Cgroup) -> Path:
    """A cgroup for the load."""
    folder = cgroup.folder / "experiment"
    folder.mkdir()
    return folder


@pytest.fixture
def two_cpus() -> None:
    """Disorder needs two."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPUs")


def _assert_complete(outcome: Outcome) -> None:
    assert outcome.account_is_exact
    assert outcome.made_events == outcome.delivered_events + outcome.lost_events
    assert outcome.late_events == 0


@pytest.mark.usefixtures("two_cpus")
def test_perf_buffers_disorder_and_the_reorderer_cures(folder: Path) -> None:
    """Two busy CPUs: raw delivery has inversions and broken links, the reordered stream none."""
    plans = [Plan("perfbuf", reorders, MEMORY_BYTES, 4000) for reorders in (False, True)]
    raw, ordered = (run.run(plan, folder) for plan in plans)
    for outcome in (raw, ordered):
        _assert_complete(outcome)
        assert outcome.lost_events == 0
        assert outcome.displaced_before >= outcome.inversions_before > 0
        assert outcome.broken_links_before > 0
    assert (raw.inversions_after, raw.displaced_after) == (
        raw.inversions_before,
        raw.displaced_before,
    )
    assert raw.broken_links_after == raw.broken_links_before
    assert (ordered.inversions_after, ordered.displaced_after) == (0, 0)
    assert ordered.broken_links_after == 0


def test_the_ring_buffer_keeps_order(folder: Path) -> None:
    """Through the ring nothing is lost, late or without its parent."""
    outcome = run.run(Plan("ringbuf", True, MEMORY_BYTES, 2000), folder)
    _assert_complete(outcome)
    assert (outcome.lost_events, outcome.displaced_after, outcome.broken_links_after) == (0, 0, 0)
    assert 0 < outcome.latency_p50_ms <= outcome.latency_p99_ms
    assert outcome.cpu_us_per_event > 0
    assert outcome.buffer_bytes == MEMORY_BYTES


@pytest.mark.parametrize("transport", ["perfbuf", "ringbuf"])
def test_a_buffer_too_small(folder: Path, transport: str) -> None:
    """Both transports lose, and both accounts are exact to the event."""
    outcome = run.run(Plan(transport, True, 4096, 2000), folder)
    _assert_complete(outcome)
    assert outcome.lost_events > 0
    assert outcome.displaced_after == 0


def test_the_command(
    cgroup: Cgroup,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It prints its tables, shows its progress, and writes the files that were asked for."""
    monkeypatch.setattr(command, "RECORD_BYTES", (64,))
    monkeypatch.setattr(command, "THROUGHPUT_SECONDS", 0.1)
    command.bench_transport(Options(100, tmp_path / "a.json", tmp_path / "a.svg"))
    out, err = capsys.readouterr()
    assert "account exact" in out
    assert "delivered/s" in out
    assert "100 %" in err
    found = json.loads((tmp_path / "a.json").read_text())
    plans = [each["plan"] for each in found["runs"]]
    assert len({plan["memory_bytes"] for plan in plans}) == 2
    expected = [("perfbuf", False), ("perfbuf", True), ("ringbuf", True)] * 2
    assert [(plan["transport"], plan["reorders"]) for plan in plans] == expected
    assert all(each["account_is_exact"] for each in found["runs"])
    assert all(each["delivered_per_s"] > 0 for each in found["throughput"])
    assert (tmp_path / "a.svg").stat().st_size > 0


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is told at once, not after a minute."""
    with pytest.raises(ConfigError, match=r"none/a\.json: cannot be written"):
        command.bench_transport(Options(100, tmp_path / "none/a.json", None))
