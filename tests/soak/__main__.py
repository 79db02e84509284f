"""``python -m tests.soak MINUTES``, as root: what is left of an agentd after a long time.

Five sixths of the time one process lives on, under a steady load with storms on top of it, while
its metrics are scraped and its tree is asked for: neither its memory nor its file descriptors may
grow. In the last sixth, under the same load, it is ended again and again, by turns as a restart
does it, as a kill, and as a change of settings does it. In the end everything that was written is
held against what was done.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from agentd.metrics.daemon import PYTHON_BLOCKS
from tests.cgroup import Cgroup, own_cgroup
from tests.e2e.agent import free_port
from tests.e2e.manager import Manager, managing
from tests.soak import report
from tests.soak.account import Account
from tests.soak.growth import Growth
from tests.soak.load import Load

LONG_LIFE = 5 / 6
STORM_EVERY_SECONDS = 20
ASK_EVERY_SECONDS = 10
LIFE_SECONDS = 30
"""Of each process while it is ended again and again."""
HOWS = ("restart", "kill", "settings")
_BLOCKS = re.compile(rf"^{PYTHON_BLOCKS.sample} (\S+)", re.M)
_RING_BYTES = (1 << 22, 1 << 21)
_EXITED_CAPACITY = 256
"""How many of those that it remembers are there at a moment moves the count of blocks, by a dozen
each; with so few that stays below what is growth."""
_SETTLED_SECONDS = 3.0


def main(minutes: float) -> int:
    """The exit code: 0 if nothing is missing, nothing grew and the account added up."""
    with tempfile.TemporaryDirectory(prefix="agentd-soak-") as name, own_cgroup("soak") as cgroup:
        port = free_port()
        with managing(Path(name), *_options(cgroup, port, _RING_BYTES[0])) as manager:
            manager.start()
            soak = Soak(manager, cgroup, port, minutes * 60)
            soak.live_long(minutes * 60 * LONG_LIFE)
            soak.live_short(minutes * 60 * (1 - LONG_LIFE))
            soak.finish()
    print(report.table(soak, minutes))
    return 0 if soak.is_good() else 1


def _options(cgroup: Cgroup, port: int, ring_bytes: int) -> list[str]:
    settings = (
        f"filter.cgroup={cgroup.path}",
        f"metrics.listen=127.0.0.1:{port}",
        f"transport.ring_bytes={ring_bytes}",
        "control.socket=",
        f"tree.exited_capacity={_EXITED_CAPACITY}",
    )
    return ["--output", "json", *(word for setting in settings for word in ("--set", setting))]


class Soak:
    """One, from its start to what has become of everything."""

    def __init__(self, manager: Manager, cgroup: Cgroup, port: int, seconds: float) -> None:
        self._manager = manager
        self._cgroup = cgroup
        self._port = port
        self.load = Load(cgroup, seconds)
        self.account = Account()
        self.growth = Growth()
        self.made: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.answers = 0
        self._seconds = 0
        """That the load has been going on."""

    def live_long(self, seconds: float) -> None:
        """One process, looked at every second."""
        assert self._manager.process is not None
        for passed, page in self._pass(seconds):
            if blocks := _BLOCKS.search(page):
                self.growth.look(passed, self._manager.process.pid, int(float(blocks[1])))

    def live_short(self, seconds: float) -> None:
        """One process after another."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            how = HOWS[self.ended.total() % len(HOWS)]
            self.ended[how] += 1
            self._replace(how)
            for _ in self._pass(min(LIFE_SECONDS, left)):
                pass

    def finish(self) -> None:
        """End the last process, and hear what was done."""
        self.made = self.load.made()
        time.sleep(_SETTLED_SECONDS)
        self._end(15)

    def is_good(self) -> bool:
        """Nothing missing, nothing grew, every account added up."""
        return self.account.is_exact(self.made) and self.growth.is_flat()

    def _pass(self, seconds: float) -> Iterator[tuple[float, str]]:
        """A second after the other, with all that goes on meanwhile, and what a scrape says."""
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            if self._seconds % STORM_EVERY_SECONDS == 0:
                self.load.storm()
            if self._seconds % ASK_EVERY_SECONDS == 0:
                self._ask("/v1/processes")
            self._seconds += 1
            page = self._ask("/metrics")
            self.account.read(self._manager.outputs[-1])
            yield passed, page
            time.sleep(1)

    def _replace(self, how: str) -> None:
        if how == "settings":
            ring_bytes = _RING_BYTES[self.ended[how] % 2]
            self._manager.options = _options(self._cgroup, self._port, ring_bytes)
        self._end(9 if how == "kill" else 15)
        self._manager.start()

    def _end(self, number: int) -> None:
        self._manager.end(number)
        self.account.read(self._manager.outputs[-1])
        self.account.ended(self._manager.log())

    def _ask(self, path: str) -> str:
        """The answer; nothing where there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as got:
                answer = str(got.read(), "utf-8")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return ""
        self.answers += 1
        return answer


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
