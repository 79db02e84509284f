"""What names users, cgroups and programs does not answer: events go on without names."""

from __future__ import annotations

import os
import shlex
import signal
import time
from pathlib import Path

import pytest

from tests.cgroup import Cgroup
from tests.e2e import agent as agents
from tests.e2e import manager as managers
from tests.e2e.agent import ENOUGH_SECONDS, running
from tests.e2e.manager import managing
from tests.hostile.siege import PAUSE_SECONDS_MAX, besieged
from tests.hostile.stuck_files import StuckFiles

RSS_BYTES_MAX = 120 << 20


def _instead(folder: Path, monkeypatch: pytest.MonkeyPatch, what: str, where: str) -> None:
    """Have agentd see ``what`` in the place of another file."""
    script = folder / "agentd"
    mount = f"mount --bind {shlex.quote(what)} {where} && touch {folder}/mounted"
    command = f'{mount} && exec {shlex.quote(agents.AGENTD)} "$@"'
    script.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {shlex.quote(command)} sh "$@"\n')
    script.chmod(0o755)
    for module in (agents, managers):
        monkeypatch.setattr(module, "AGENTD", str(script))


def test_the_name_service_hangs(
    cgroup: Cgroup, loadgen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens /etc/passwd waits for ever, as for a directory that does not answer: the start
    does not wait for it, nor does the end, and users have no names."""
    os.mkfifo(tmp_path / "passwd")
    _instead(tmp_path, monkeypatch, str(tmp_path / "passwd"), "/etc/passwd")
    with besieged(tmp_path, cgroup, loadgen) as siege:
        outcome = siege.finish()
    assert (outcome.missing, outcome.lost, outcome.exit_code) == (0, 0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX


def test_names_come_later(cgroup: Cgroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users are without names as long as nobody answers, which is counted; groups are, too."""
    os.mkfifo(tmp_path / "passwd")
    _instead(tmp_path, monkeypatch, str(tmp_path / "passwd"), "/etc/passwd")
    with running(tmp_path, cgroup.path, "--output", "json") as agent:
        cgroup.run(["/bin/true"])
        agent.wait_for_events(2)
        failures = "agentd_helper_failures_total", (("helper", "users"),)
        agent.wait_until(lambda: agent.metrics()[failures] >= 1)
        begun = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - begun < ENOUGH_SECONDS / 2
        users = [line["process"]["user"] for line in agent.lines()]
    assert users
    assert all(user == {"id": "0"} for user in users)


def _make_cgroups(cgroup: Cgroup, name: str) -> None:
    """Many, at the end of a path that is nearly as long as can be."""
    end = cgroup.folder
    for _ in range(12):
        end /= "x" * 250
    end.mkdir(parents=True, exist_ok=True)
    for number in range(1500):
        (end / f"{name}-{number}").mkdir()


def test_thousands_of_cgroups(cgroup: Cgroup, loadgen: Path, tmp_path: Path) -> None:
    """Made before the start and while it runs, they hold up nothing, and the daemon stays small."""
    _make_cgroups(cgroup, "before")
    with besieged(tmp_path, cgroup, loadgen) as siege:
        _make_cgroups(cgroup, "later")
        outcome = siege.finish()
    assert (outcome.missing, outcome.lost, outcome.exit_code) == (0, 0, 0)
    assert outcome.longest_pause_seconds < PAUSE_SECONDS_MAX
    assert outcome.peak_rss_bytes < RSS_BYTES_MAX


def test_others_are_named_all_the_same(cgroup: Cgroup, tmp_path: Path) -> None:
    """The walk begins at the root: who makes cgroups far below it hides no other."""
    _make_cgroups(cgroup, "many")
    with running(tmp_path, cgroup.path, "--output", "json") as agent:

        def is_named() -> bool:
            cgroup.run(["/bin/true"])
            execs = [line["agentd"] for line in agent.lines() if "exec" in line["agentd"]]
            return bool(execs) and execs[-1]["cgroup"].get("path") == cgroup.path

        agent.wait_until(is_named)
        failures = "agentd_helper_failures_total", (("helper", "cgroups"),)
        assert agent.metrics()[failures] == 0
        assert agent.stop() == 0


def test_the_canarys_program_cannot_be_read(
    cgroup: Cgroup, tmp_path: Path, stuck: StuckFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exec never ends, which the watchdog sees; events go on, and the stop does not wait."""
    _instead(tmp_path, monkeypatch, stuck.program, "/bin/true")
    options = ["--output", "json"]
    for setting in (f"filter.cgroup={cgroup.path}", "metrics.listen=", "control.socket="):
        options += ["--set", setting]
    with managing(tmp_path, *options) as manager:
        manager.launch(WATCHDOG_USEC="2500000")
        while not (tmp_path / "mounted").exists():
            time.sleep(0.01)
        stuck.freeze()
        while not manager.outputs[0].read_bytes():
            cgroup.run(["/bin/echo"])
        begun = time.monotonic()
        assert manager.end(signal.SIGTERM) in (0, os.EX_UNAVAILABLE)
        assert time.monotonic() - begun < ENOUGH_SECONDS / 2
        assert "READY=1" not in manager.told
    stuck.close()
