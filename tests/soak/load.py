"""What happens on the host meanwhile: a steady load, and storms on top of it."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

from tests.cgroup import Cgroup
from tests.kernel.loadgen import built_loadgen, loadgen_command

STEADY_PER_SECOND = 100
STORM_COMMANDS = 2000
"""As fast as they go; the ring holds more than twice as many."""
_SHAPES = ("fork-exec", "vfork-exec", "fork-exit")


class Load:
    """Processes inside a cgroup, of which each generator says what it really did."""

    def __init__(self, cgroup: Cgroup, seconds: float) -> None:
        self._cgroup = cgroup
        self._loadgen = built_loadgen()
        self.storms = 0
        rate = ("--rate", str(STEADY_PER_SECOND), "--seconds", str(seconds))
        self._running = [self._start(*rate)]

    def storm(self) -> None:
        """One more; by turns in each shape that a command is run in."""
        shape = _SHAPES[self.storms % len(_SHAPES)]
        self.storms += 1
        flat_out = ("--count", str(STORM_COMMANDS), "--workers", "4", "--shape", shape)
        self._running.append(self._start(*flat_out))

    def made(self) -> Counter[str]:
        """The events of all generators, by action, when they have come to their end."""
        made: Counter[str] = Counter()
        for generator in self._running:
            report = json.loads(generator.communicate()[0])
            made["fork"] += report["forks"] + report["worker_forks"]
            made["exec"] += report["execs"]
            made["exit"] += report["exits"] + report["worker_forks"] + 1
        return made

    def _start(self, *options: str) -> subprocess.Popen[str]:
        command = loadgen_command(self._loadgen, self._cgroup.folder, *options)
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
