"""The siege measures what it says: otherwise no attack could fail its test."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.cgroup import Cgroup
from tests.hostile.siege import NOBODY, PAUSE_SECONDS_MAX, as_nobody, besieged

PAUSE_SECONDS = 2.0


def test_nothing_happens(cgroup: Cgroup, loadgen: Path, tmp_path: Path) -> None:
    """Without an attack everything is reported, soon."""
    with besieged(tmp_path, cgroup, loadgen) as siege:
        outcome = siege.finish()
    assert (outcome.missing, outcome.lost, outcome.exit_code) == (0, 0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX
    assert outcome.peak_rss_bytes > 10 << 20


def test_a_pause_is_measured(cgroup: Cgroup, loadgen: Path, tmp_path: Path) -> None:
    """A daemon that is stopped for two seconds has a pause of as long, and loses nothing."""
    with besieged(tmp_path, cgroup, loadgen) as siege:
        siege.agent.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        siege.agent.process.send_signal(signal.SIGCONT)
        outcome = siege.finish()
    assert outcome.longest_pause_seconds >= PAUSE_SECONDS
    assert (outcome.missing, outcome.lost, outcome.exit_code) == (0, 0, 0)


def test_a_loss_is_measured(cgroup: Cgroup, loadgen: Path, tmp_path: Path) -> None:
    """With a ring of 64 KiB, a daemon that is stopped loses events, and each is counted."""
    with besieged(tmp_path, cgroup, loadgen, "--set", "transport.ring_bytes=4096") as siege:
        siege.agent.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        siege.agent.process.send_signal(signal.SIGCONT)
        outcome = siege.finish()
    assert outcome.lost > 0
    assert outcome.missing == outcome.lost


def test_nobody_has_no_right(attic: Path) -> None:
    """The attacker is uid and gid 65534, without any other group, and can write in its attic."""
    command = ["sh", "-c", f"id -u; id -g; id -G; cat /etc/shadow; echo x > {attic}/x"]
    with (attic / "out").open("wb") as out, as_nobody(command, stdout=out, stderr=out) as process:
        process.wait()
    assert process.returncode == 0
    lines = (attic / "out").read_text().split("\n")
    assert lines[:3] == [str(NOBODY)] * 3
    assert "Permission denied" in lines[3]
