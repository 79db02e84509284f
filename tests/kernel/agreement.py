"""What tree and /proc must agree on at rest: who lives, since when, whose child, running what."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agentd.core.pipeline import Entry
from agentd.core.tree.process import Key, Process
from agentd.core.tree.reconcile import Scan
from agentd.host import clock, procfs
from tests.cgroup import ENOUGH_SECONDS, Cgroup
from tests.kernel.tracer import Tracer

SETTLED_SECONDS = 60.0
"""A safety net for what should be over at once."""

Facts = tuple[Key, Key, bytes]
"""Key and parent's key, to a tick, and the executable."""


def _facts(process: Process, parent: Key) -> Facts:
    (tgid, start_ns), (parent_tgid, parent_ns) = process.key, parent
    tick_ns = clock.TICK_NS
    return (
        (tgid, start_ns // tick_ns),
        (parent_tgid, parent_ns // tick_ns),
        process.image.executable,
    )


def in_tree(tracer: Tracer) -> dict[int, Facts]:
    """The live processes of the cgroup as the tree has them, by pid."""
    tree = tracer.pipeline.tree
    inside = [process for process in tree.living.values() if process.inside]
    return {p.key[0]: _facts(p, tree.adopters.parent(p)) for p in inside}


def in_proc(cgroup: Cgroup) -> dict[int, Facts]:
    """The same as /proc has them."""
    found = procfs.scan(cgroup=cgroup.path)
    return {p.key[0]: _facts(p, p.parent) for p in found if p.inside}


def at_rest(cgroup: Cgroup, count: int | None = None) -> dict[int, Facts]:
    """What /proc has once nothing has changed for a while, and so many live, if that is known."""
    deadline = time.monotonic() + SETTLED_SECONDS
    before: dict[int, Facts] = {}
    while (now := in_proc(cgroup)) != before or len(now) != (len(now) if count is None else count):
        assert time.monotonic() < deadline, f"{len(now)} processes, {count} expected"
        before = now
        time.sleep(0.05)
    return now


def reconcile(tracer: Tracer, cgroup: Cgroup) -> list[Entry]:
    """Scan and compare, with rounds until that is done."""
    tracer.pipeline.tree.watched_exits.begin()
    begun_ns = clock.boottime_ns()
    found = tuple(procfs.Look(cgroup=cgroup.path))
    tracer.pipeline.offer(Scan(begun_ns, clock.boottime_ns(), found, complete=True))
    return tracer.collect()


@contextmanager
def held(cgroup: Cgroup, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A command with its input as fd 3, too: shells take it from what they do not wait for."""
    wrapped = ["/bin/sh", "-c", 'exec "$@" 3<&0', "sh", *command]
    with cgroup.popen(wrapped, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        yield process
        process.communicate("", timeout=ENOUGH_SECONDS)
