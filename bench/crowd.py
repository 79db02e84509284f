"""What a host full of live processes costs: the scans of /proc, their pauses, and memory.

``python3 bench/crowd.py [PROCESSES]``, as root, after ``bench/build.sh``. The parts of agentd are
driven in this process, so that each pause can be told apart.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from load import Cgroup, own_cgroup  # noqa: E402
from observe import rss_mib  # noqa: E402

from agentd.config.limits import limits_of  # noqa: E402
from agentd.config.schema import Config  # noqa: E402
from agentd.core.tree.proc_compare import Observed  # noqa: E402
from agentd.core.tree.reconcile import Comparison, Kinds, Scan  # noqa: E402
from agentd.core.tree.tree import Tree  # noqa: E402
from agentd.core.wire.exec_context import PlaceReader  # noqa: E402
from agentd.daemon import memory  # noqa: E402
from agentd.helpers.client import Helpers  # noqa: E402
from agentd.helpers.proc_scan import Scanner  # noqa: E402
from agentd.host import clock  # noqa: E402
from agentd.host.capabilities import CAP_SYS_PTRACE  # noqa: E402
from agentd.kernel.wire_header import read_wire  # noqa: E402

PROCESSES = 30_000
CALM_S = 0.2
GONE_S = 120.0


@contextmanager
def crowd(cgroup: Cgroup, processes: int) -> Iterator[None]:
    """So many processes that live in the cgroup."""
    script = 'echo $$ >"$1/cgroup.procs" && exec "$2" "$3"'
    arguments = [str(cgroup.path), str(HERE / "build/crowd"), str(processes)]
    command = ["/bin/sh", "-c", script, "sh", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"there\n":
            raise SystemExit("crowd.py: so many processes cannot be had (kernel.pid_max?)")
        yield
    deadline = time.monotonic() + GONE_S
    while (cgroup.path / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(CALM_S)


def timed_ms(work: Callable[[], object]) -> float:
    """How much CPU time something takes; the clock also has what others took meanwhile."""
    begun = time.thread_time()
    work()
    return (time.thread_time() - begun) * 1e3


async def scan(cgroup: str) -> tuple[list[Observed], float, float]:
    """What a scan finds, its duration in s, and the longest pause of the loop in ms of CPU time."""
    pauses: list[float] = []

    async def watch() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            pauses.append(now - before)
            before = now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(CALM_S)
    pauses.clear()
    begun = time.monotonic()
    helpers = Helpers((CAP_SYS_PTRACE,), "", log=None)
    found = (await Scanner(cgroup, helpers).scan()).processes
    seconds = time.monotonic() - begun
    helpers.close()
    watching.cancel()
    return found, seconds, max(pauses) * 1e3


async def measure(cgroup: str) -> None:
    """Do what the daemon does, first at its start, then after a loss."""
    tree = Tree(limits_of(Config()).tree, clock.TICK_NS)
    memory.settle()
    before_mib = rss_mib(os.getpid())
    begun_ns = clock.boottime_ns()
    found, seconds, pause_ms = await scan(cgroup)
    print(f"processes                 {len(found)}")
    print(f"scan                      {seconds:.2f} s, longest pause {pause_ms:.1f} ms")
    seed_ms = timed_ms(lambda: tree.seed([seen.process for seen in found], begun_ns))
    print(f"seeding the tree          {seed_ms:.1f} ms")
    found = []
    gc.collect()
    grown_mib = rss_mib(os.getpid()) - before_mib
    print(f"memory                    {grown_mib:.1f} MiB")
    memory.settle()
    tree.watched_exits.begin()
    begun_ns = clock.boottime_ns()
    found, seconds, pause_ms = await scan(cgroup)
    print(f"scan after a loss         {seconds:.2f} s, longest pause {pause_ms:.1f} ms")
    seen = Scan(begun_ns, clock.boottime_ns(), tuple(found), complete=True)
    kinds = Kinds(0, 1, 2)
    comparison = Comparison(tree, seen, kinds, PlaceReader(read_wire()))
    slices_ms = []
    while not comparison.over:
        slices_ms.append(timed_ms(lambda: comparison.advance(clock.boottime_ns())))
    print(
        f"comparing                 {sum(slices_ms):.1f} ms in {len(slices_ms)} rounds,"
        f" longest {max(slices_ms):.1f} ms"
    )


def main() -> None:
    """Measure with as many processes as the command line says."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else PROCESSES
    with own_cgroup() as cgroup, crowd(cgroup, processes):
        asyncio.run(measure(cgroup.name))


if __name__ == "__main__":
    main()
