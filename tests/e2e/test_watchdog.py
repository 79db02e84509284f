"""What a service manager with a watchdog is told, and when it is told nothing any more."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.cgroup import Cgroup
from tests.e2e.agent import ENOUGH_SECONDS, Agent, free_port
from tests.e2e.manager import Manager, managing
from tests.idle_link import idle_link

WATCHDOG_SECONDS = 2.5
_WATCHDOG = {"WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6))}


def _options(cgroup: Cgroup, *settings: str) -> list[str]:
    each = (f"filter.cgroup={cgroup.path}", "metrics.listen=", "control.socket=", *settings)
    return ["--output", "json", *(word for setting in each for word in ("--set", setting))]


def _start_inside(manager: Manager, cgroup: Cgroup) -> None:
    """An agentd that watches itself: its canaries are in its own output."""
    manager.launch(cgroup, **_WATCHDOG)
    manager.wait_until_told("READY=1")


def _end_of_the_first(manager: Manager) -> dict[str, Any]:
    """The exit of the first that forked and exec'd. What READY waits for may still be written."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while time.monotonic() < deadline:
        lives: dict[str, list[str]] = defaultdict(list)
        for line in manager.lines():
            life = lives[line.get("process", {}).get("entity_id", "")]
            life.append(line["event"]["action"])
            if life == ["fork", "exec", "exit"]:
                return line
        time.sleep(0.01)
    raise AssertionError("no canary was written")


def test_a_canary_goes_before_ready_and_feeds_the_watchdog(cgroup: Cgroup, tmp_path: Path) -> None:
    """READY comes when fork, exec and exit of one have come through; then one after another."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        _start_inside(manager, cgroup)
        ready = datetime.now(UTC)
        end = _end_of_the_first(manager)
        assert datetime.fromisoformat(end["@timestamp"][:26] + "+00:00") < ready
        assert end["process"]["executable"] == "/usr/bin/true"
        manager.wait_until_told("WATCHDOG=1", 4)
        statuses = [line for line in manager.told if line.startswith("STATUS=")]
        assert all(" processes; " in status and " lost, over " in status for status in statuses)
        assert manager.end(signal.SIGTERM) == 0
        assert "STOPPING=1" in manager.told
    assert "a canary did not come through" not in manager.log()


def test_a_stopped_agentd_does_not_feed_it(cgroup: Cgroup, tmp_path: Path) -> None:
    """Nor does one that was left out by its own filter."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        manager.start(**_WATCHDOG)
        manager.wait_until_told("WATCHDOG=1", 2)
        assert manager.process is not None
        manager.process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        told = manager.told.count("WATCHDOG=1")
        time.sleep(WATCHDOG_SECONDS)
        assert manager.told.count("WATCHDOG=1") == told
        manager.process.send_signal(signal.SIGCONT)
        manager.wait_until_told("WATCHDOG=1", told + 1)


def test_a_blind_agentd_is_not_ready(cgroup: Cgroup, tmp_path: Path) -> None:
    """Where one of the three programs no longer runs, a successor does not say READY, and ends."""
    with managing(tmp_path, *_options(cgroup)) as manager:
        _start_inside(manager, cgroup)
        manager.end(signal.SIGKILL)
        link = f"link-0@{manager.first_seq()}"
        os.close(manager.kept[link])  # the last fd of it: nothing reports forks any more
        manager.kept[link] = idle_link("sched_process_fork")
        manager.launch(cgroup, **_WATCHDOG)
        assert manager.process is not None
        assert manager.process.wait(ENOUGH_SECONDS) == os.EX_UNAVAILABLE
        assert manager.told.count("READY=1") == 1
        assert "would be blind (not seen within 20 s)" in manager.log()
        assert "Traceback" not in manager.log()


def test_a_stuck_reader_does_not_starve_it(cgroup: Cgroup, tmp_path: Path) -> None:
    """While nobody reads standard output, and it drops, canaries pass as before."""
    output = tmp_path / "run-0.out"
    os.mkfifo(output)
    reading = os.open(output, os.O_RDONLY | os.O_NONBLOCK)
    with managing(tmp_path, *_options(cgroup, "transport.ring_bytes=65536")) as manager:
        _start_inside(manager, cgroup)
        cgroup.run(["/bin/bash", "-c", "for i in {1..600}; do (:); done"])
        told = manager.told.count("WATCHDOG=1")
        begun = time.monotonic()
        manager.wait_until_told("WATCHDOG=1", told + 8)
        assert time.monotonic() - begun > WATCHDOG_SECONDS
    os.close(reading)
    assert "a canary did not come through" not in manager.log()


def test_a_crowd_at_the_metrics_port_does_not_starve_it(cgroup: Cgroup, tmp_path: Path) -> None:
    """More connections than agentd may have file descriptors keep it from nothing."""
    port = free_port()
    listen = f"metrics.listen=127.0.0.1:{port}"
    with managing(tmp_path, *_options(cgroup, listen)) as manager, contextlib.ExitStack() as crowd:
        _start_inside(manager, cgroup)
        assert manager.process is not None
        pid = manager.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (150, hard))
        for _ in range(300):
            sock = crowd.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        told = manager.told.count("WATCHDOG=1")
        manager.wait_until_told("WATCHDOG=1", told + 4)
        assert len(os.listdir(f"/proc/{pid}/fd")) < 150
        crowd.close()
        agent = Agent(manager.process, port, tmp_path)
        agent.wait_until(lambda: agent.get("/healthz") == (200, "ok\n"))
    assert "a canary did not come through" not in manager.log()
