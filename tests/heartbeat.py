"""Reports what takes long, so that no run is silent: a plugin of pytest, and for the guests.

Another process does it: with a thread in this one, Python 3.12 warns of every fork.
"""

from __future__ import annotations

import subprocess

import pytest

SECONDS = 20

_REPORTS = """
name='the collection of tests' waited=0
while true; do
	if IFS= read -r -t "$0" line; then
		name=$line waited=0
	else
		[ $? -gt 128 ] || exit 0
		waited=$((waited + $0))
		printf '\\n  %s s: %s\\n' "$waited" "$name" >&2
	fi
done
"""


class Heartbeat:
    """Says after ``seconds``, and again, which test still runs."""

    def __init__(self, seconds: int) -> None:
        self._process = subprocess.Popen(
            ["bash", "-c", _REPORTS, str(seconds)], stdin=subprocess.PIPE, text=True
        )

    def begins(self, name: str) -> None:
        """Something else, from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()

    def ends(self) -> None:
        """Nothing any more. It ends by itself with this process, too."""
        self._process.communicate()


class Plugin:
    """Follows a session of pytest."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._heartbeat.begins(nodeid)

    def pytest_unconfigure(self) -> None:
        """The session ends."""
        self._heartbeat.ends()


def watch(config: pytest.Config) -> None:
    """Watch a session; what it reports goes where pytest's own standard error goes."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        config.pluginmanager.register(Plugin(Heartbeat(SECONDS)))
