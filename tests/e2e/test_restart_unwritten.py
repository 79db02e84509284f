"""A restart while the output takes nothing: the state and the position are of one moment."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.cgroup import Cgroup
from tests.e2e.manager import Manager, managing
from tests.e2e.test_restart import _assert_whole, _options, _stopped, _stuck_reader, _told

Line = dict[str, Any]
SLEEPS = 50
FILLING = "i=0; while [ $i -lt 300 ]; do /bin/true $i; i=$((i+1)); done"


@contextlib.contextmanager
def _full_disk(output: Path) -> Iterator[None]:
    """What is written there finds room for a few lines."""
    disk = output.with_suffix(".disk")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=True)
    try:
        output.symlink_to(disk / "out")
        yield
        written = output.read_bytes()
        output.unlink()
        output.write_bytes(written)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


STUCK: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "reader": _stuck_reader,
    "disk": _full_disk,
}


def _end_at_once(manager: Manager) -> None:
    manager.end(signal.SIGKILL)


def _end_as_planned(manager: Manager) -> None:
    assert manager.end(signal.SIGTERM) == 0


def _end_amid_the_end(manager: Manager) -> None:
    """Killed while it waits for its output."""
    assert manager.process is not None
    manager.process.send_signal(signal.SIGTERM)
    manager.wait_until_told("STOPPING=1")
    manager.end(signal.SIGKILL)


def _live_and_die(cgroup: Cgroup) -> set[int]:
    """Processes that live before the output is stuck, and exit after."""
    sleeps = [cgroup.popen(["/bin/sleep", "1000"]) for _ in range(SLEEPS)]
    cgroup.run(["/bin/sh", "-c", FILLING])
    for sleep in sleeps:
        sleep.terminate()
    return {sleep.wait() and sleep.pid for sleep in sleeps}


def _exits(lines: list[Line]) -> Counter[int]:
    """Of processes that were ended, by pid; those whose program is known."""
    return Counter(
        line["process"]["pid"]
        for line in lines
        if line["agentd"].get("signal") == signal.SIGTERM
        and line["process"].get("executable", "").endswith("sleep")
        and line["process"]["args"] == ["/bin/sleep", "1000"]
    )


@pytest.mark.parametrize("settings", [(), ("output.aggregate=true",)], ids=["lines", "aggregate"])
@pytest.mark.parametrize("stuck", STUCK)
def test_a_planned_restart_while_nothing_is_taken(
    cgroup: Cgroup, tmp_path: Path, stuck: str, settings: tuple[str, ...]
) -> None:
    """Each event is reported, as what it was and once, but for a line that was begun; none is
    lost, and the account holds.
    """
    with managing(tmp_path, *_options(cgroup, *settings)) as manager:
        with STUCK[stuck](tmp_path / "run-0.out"):
            manager.start()
            pids = _live_and_die(cgroup)
            _end_as_planned(manager)
        manager.start()
        assert "past" not in manager.kept
        lines = _stopped(manager)
    assert _exits(lines) == Counter(pids)
    assert not any("lost" in line["agentd"] for line in lines)
    assert '"imbalance": 0' in manager.log()
    ids = [line["event"]["id"] for line in lines]
    assert len(ids) == len({*ids})


@pytest.mark.parametrize("end", [_end_at_once, _end_amid_the_end])
def test_a_kill_while_nothing_is_taken(
    cgroup: Cgroup, tmp_path: Path, end: Callable[[Manager], None]
) -> None:
    """Nothing is lost either: there is no state, and the position is what was written."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        with _full_disk(tmp_path / "run-0.out"):
            manager.start()
            pids = _live_and_die(cgroup)
            end(manager)
        manager.start()
        lines = _stopped(manager)
    ended = {
        line["process"]["pid"] for line in lines if line["agentd"].get("signal") == signal.SIGTERM
    }
    assert pids <= ended
    assert not any("lost" in line["agentd"] for line in lines)
    assert '"imbalance": 0' in manager.log()


def test_a_second_restart_while_nothing_is_taken(cgroup: Cgroup, tmp_path: Path) -> None:
    """What the first could not write, and the second neither, the third writes."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        with _full_disk(tmp_path / "run-0.out"):
            manager.start()
            pids = _live_and_die(cgroup)
            _end_as_planned(manager)
        with _full_disk(tmp_path / "run-1.out"):
            manager.start()
            more = _live_and_die(cgroup)
            _end_as_planned(manager)
        manager.start()
        lines = _stopped(manager)
    assert _exits(lines) == Counter([*pids, *more])
    assert not any("lost" in line["agentd"] for line in lines)
    assert '"imbalance": 0' in manager.log()


def test_a_stop_while_the_start_waits_for_its_output(cgroup: Cgroup, tmp_path: Path) -> None:
    """It is obeyed before agentd is ready, and the next process writes what this one could not:
    no event is lost, none is written twice.
    """
    with managing(tmp_path, *_options(cgroup)) as manager:
        with _stuck_reader(tmp_path / "run-0.out"):
            with cgroup.popen(["/bin/sh", "-c", "while :; do /bin/true; done"]) as storm:
                manager.launch()
                manager.wait_until_logged("ready")
                storm.kill()
            assert manager.end(signal.SIGTERM) == 0
            assert "READY=1" not in manager.told
            assert "past" in manager.kept
        manager.start()
        lines = _stopped(manager)
    _assert_whole(_told(lines))
    assert not any("lost" in line["agentd"] for line in lines)
    assert '"imbalance": 0' in manager.log()
    ids = [line["event"]["id"] for line in lines]
    assert len(ids) == len({*ids}) > 100
