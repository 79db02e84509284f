"""``python -m tests.soak MINUTES``, as root: what is left of an agentd after a long time.

A generator makes processes at a steady rate inside a cgroup. agentd is ended every few minutes, by
turns as a restart does it, as a kill, and as a change of settings does it; its metrics are scraped
every second. In the end everything that it wrote is held against what the generator did.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.cgroup import Cgroup, own_cgroup
from tests.e2e.agent import free_port
from tests.e2e.manager import Manager, managing
from tests.kernel.loadgen import built_loadgen, loadgen_command
from tests.soak.account import Account, Samples

RATE_PER_SECOND = 300
RUN_SECONDS = 300.0
WARM_UP_SECONDS = 60.0
"""Of each run, left out of the slope: tables fill up."""
HOWS = ("restart", "kill", "settings")


def main(minutes: float) -> int:
    """The exit code: 0 if nothing is missing, nothing grew and the account added up."""
    account = Account()
    with tempfile.TemporaryDirectory(prefix="agentd-soak-") as name, own_cgroup("soak") as cgroup:
        port = free_port()
        with managing(Path(name), *_options(cgroup, port, 1 << 22)) as manager:
            manager.start()
            _soak(manager, cgroup, account, port, minutes)
    print(account.report(minutes, RATE_PER_SECOND))
    return 0 if account.is_good() else 1


def _options(cgroup: Cgroup, port: int, ring_bytes: int) -> list[str]:
    settings = (
        f"filter.cgroup={cgroup.path}",
        f"metrics.listen=127.0.0.1:{port}",
        f"transport.ring_bytes={ring_bytes}",
        "control.socket=",
    )
    return ["--output", "json", *(word for setting in settings for word in ("--set", setting))]


def _soak(manager: Manager, cgroup: Cgroup, account: Account, port: int, minutes: float) -> None:
    load = ("--rate", str(RATE_PER_SECOND), "--seconds", str(minutes * 60))
    storm = _storm(cgroup, load)
    ring_bytes = 1 << 22
    turn = 0
    while storm.poll() is None:
        samples = _watch(manager, storm, port)
        account.samples.append(samples)
        if storm.poll() is not None:
            break
        how = HOWS[turn % len(HOWS)]
        turn += 1
        if how == "settings":
            ring_bytes ^= (1 << 22) | (1 << 21)
            manager.options = _options(cgroup, port, ring_bytes)
        manager.end(9 if how == "kill" else 15)
        account.ended[how] += 1
        account.read(manager.outputs[-1], manager.log())
        manager.start()
    assert storm.stdout is not None
    account.truth(json.loads(storm.stdout.read()))
    time.sleep(2)
    manager.end(15)
    account.read(manager.outputs[-1], manager.log())


def _storm(cgroup: Cgroup, load: tuple[str, ...]) -> subprocess.Popen[str]:
    command = loadgen_command(built_loadgen(), cgroup.folder, *load)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _watch(manager: Manager, storm: subprocess.Popen[str], port: int) -> Samples:
    """Scrape and look once a second, until it is time for an end."""
    assert manager.process is not None
    samples = Samples(WARM_UP_SECONDS)
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < RUN_SECONDS and storm.poll() is None:
        process = Path("/proc") / str(manager.process.pid)
        resident = (process / "statm").read_text().split()[1]
        samples.add(passed, int(resident) * 4096, len(list((process / "fd").iterdir())))
        samples.scrapes += _scrape(port)
        time.sleep(1)
    return samples


def _scrape(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return b"agentd_accounting_imbalance" in answer.read()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
