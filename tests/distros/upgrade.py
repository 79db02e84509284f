"""agentd through an upgrade of Debian: ``/usr/bin/python3 -m tests.distros.upgrade RELEASE``.

As root in a Debian that may be thrown away, with the package installed (tests/distros/upgrade).
A service manager in miniature starts it, apt brings the new release while commands are run, and
the manager starts it anew, with the programs that it kept. All commands must have been reported.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.cgroup import Cgroup, own_cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS
from tests.e2e.manager import Manager, managing

_SOURCES = Path("/etc/apt/sources.list")
_PAUSE_SECONDS = 0.1


class Commands:
    """Commands in a cgroup, one after another, each with a word of its own."""

    def __init__(self, cgroup: Cgroup) -> None:
        self.cgroup = cgroup
        self.count = 0

    def run(self) -> None:
        """One more. Whether it succeeds is no matter: its libraries are being replaced."""
        self.cgroup.run(["/bin/true", f"word-{self.count}"], stderr=subprocess.DEVNULL)
        self.count += 1

    def run_until(self, done: threading.Event) -> None:
        """One after another."""
        while not done.wait(_PAUSE_SECONDS):
            self.run()


def bring(release: str) -> None:
    """As Debian's release notes have it, without questions."""
    text = _SOURCES.read_text()
    _SOURCES.write_text(re.sub(r"^(deb \S+) \S+", rf"\1 {release}", text, flags=re.M))
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    options = ("-y", "-q", "-o", "DPkg::Options::=--force-confold", "--no-install-recommends")
    for saying, *words in (
        ("fetching the new lists of packages: 10 MB, some seconds", "update"),
        ("the upgrade: 200 MB to fetch, some minutes", "dist-upgrade"),
    ):
        command = ["packaging/step", saying, "apt-get", *options, *words]
        subprocess.run(command, env=environment, check=True)


def described(manager: Manager, control: Path) -> str:
    """By which Python it runs, and in which form."""
    assert manager.process is not None
    asked = subprocess.run(
        [AGENTD, "status", "--json", "--socket", str(control)],
        capture_output=True, check=True, timeout=ENOUGH_SECONDS, cwd="/",
    )  # fmt: skip
    python = Path(f"/proc/{manager.process.pid}/exe").readlink().name
    return f"{python.split()[0]}, {json.loads(asked.stdout)['core']}"


def through(release: str, manager: Manager, commands: Commands, control: Path) -> None:
    """Start, upgrade under load, start anew."""
    manager.start()
    before = described(manager, control)
    done = threading.Event()
    load = threading.Thread(target=commands.run_until, args=(done,))
    load.start()
    try:
        bring(release)
        print(f"upgraded under {commands.count} commands; restarting agentd", flush=True)
        assert manager.end(signal.SIGTERM) == 0, manager.log()
        manager.start()
    finally:
        done.set()
        load.join()
    commands.run()
    after = described(manager, control)
    time.sleep(1)  # a round is at most 100 ms apart; the stop takes one more in any case
    assert manager.end(signal.SIGTERM) == 0, manager.log()
    print(f"before: {before}; after: {after}", flush=True)
    assert before != after
    assert {before.split()[1], after.split()[1]} == {"compiled"}


def account(manager: Manager, made: int) -> None:
    """Every command was reported, and none twice."""
    lines = manager.lines()
    words = [
        line["process"]["args"][-1]
        for line in lines
        if line["event"]["action"] == "exec" and line["process"]["args"][-1].startswith("word-")
    ]
    lost = [line["agentd"]["lost"] for line in lines if "lost" in line["agentd"]]
    print(f"{made} commands, {len(words)} reported, {len(lost)} losses")
    assert sorted(words) == sorted(f"word-{number}" for number in range(made))
    assert not lost


def main(release: str) -> None:
    """All of it."""
    with tempfile.TemporaryDirectory() as name, own_cgroup("upgrade") as cgroup:
        control = Path(name) / "control.sock"
        settings = (
            f"filter.cgroup={cgroup.path}", f"control.socket={control}", "metrics.listen=",
        )  # fmt: skip
        options = ["--output", "json", *(word for each in settings for word in ("--set", each))]
        with managing(Path(name), *options) as manager:
            commands = Commands(cgroup)
            through(release, manager, commands, control)
            account(manager, commands.count)


if __name__ == "__main__":
    main(sys.argv[1])
