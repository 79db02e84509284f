"""The tree after a loss: held against what /proc shows, and corrected where they differ.

A scan sees each process at a moment of its own, while events go on. So it is compared only when
every event up to its end has been applied: what the tree knows from an event younger than the
sight of a process stands, and a process that exited since then is not brought back. What is left
can only be due to a loss, and leaves as an event that is ``inferred``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from agentd.core.process import Image, Key, Process
from agentd.core.tree import Tree


class Observed(NamedTuple):
    """One process as /proc shows it; its start is good to a clock tick."""

    process: Process
    """``verified_ns`` is the moment before it was read."""
    uid: int
    gid: int
    inode: int = 0
    """Of the file that it runs; 0 where that is not known."""
    device: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """All processes, seen one after the other between two moments of CLOCK_BOOTTIME."""

    begun_ns: int
    ended_ns: int
    processes: tuple[Observed, ...]
    complete: bool
    """Whether processes that it does not show are gone; not so where some are hidden."""


class Inferred(NamedTuple):
    """A fork, exec or exit that was not reported but must have happened before this moment."""

    boottime_ns: int
    kind: int
    key: Key
    parent: Key
    image: Image
    parent_image: Image | None
    user: tuple[int, int] | None
    """uid and gid, where they are known."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The numbers of the kinds of events."""

    fork: int
    exec: int
    exit: int


def reconcile(tree: Tree, scan: Scan, now_ns: int, kinds: Kinds) -> list[Inferred]:
    """Correct the tree; the events that must have been missed before ``now_ns``."""
    inferred = _close_the_gone(tree, scan, now_ns, kinds) if scan.complete else []
    for observed in sorted(scan.processes, key=_by_start):
        change = _compare(tree, observed, now_ns, kinds)
        if change is not None and observed.process.inside:
            inferred.append(change)
    return inferred


def _by_start(observed: Observed) -> Key:
    """Parents before their children."""
    tgid, start_ns = observed.process.key
    return start_ns, tgid


def _close_the_gone(tree: Tree, scan: Scan, now_ns: int, kinds: Kinds) -> list[Inferred]:
    """Processes that began before the scan and are not in it have exited unseen."""
    ticks = tree.living.ticks
    seen = {ticks(observed.process.key) for observed in scan.processes}
    begun_ticks = ticks((0, scan.begun_ns))[1]
    gone = [
        process
        for process in tree.living.values()
        if ticks(process.key)[1] < begun_ticks and ticks(process.key) not in seen
    ]
    inferred = []
    for process in gone:
        tree.close(process, now_ns)
        if process.inside:
            inferred.append(_event(tree, process, now_ns, kinds.exit, None))
    return inferred


def _compare(tree: Tree, observed: Observed, now_ns: int, kinds: Kinds) -> Inferred | None:
    """Add, or correct, one process that is there."""
    process = observed.process
    user = (observed.uid, observed.gid)
    living = tree.living
    known, ticks = living.at(process.key[0]), living.ticks(process.key)
    if known is None or living.ticks(known.key) < ticks:
        if tree.exited_since_scan(process.key):
            return None
        tree.add(process, now_ns)
        return _event(tree, process, now_ns, kinds.fork, user)
    if living.ticks(known.key) != ticks or known.verified_ns > process.verified_ns:
        return None
    known.verified_ns = process.verified_ns
    known.parent = living.exact(process.parent)
    there = process.image.executable
    if not there or there == known.image.executable:
        return None
    was_known = bool(known.image.executable)
    tree.replace_image(known, process.image, process.verified_ns)
    if not was_known:
        return None
    return _event(tree, known, now_ns, kinds.exec, user)


def _event(
    tree: Tree, process: Process, now_ns: int, kind: int, user: tuple[int, int] | None
) -> Inferred:
    parent_key = tree.adopters.parent(process)
    parent = tree.find(parent_key)
    return Inferred(
        boottime_ns=now_ns,
        kind=kind,
        key=process.key,
        parent=parent_key,
        image=process.image,
        parent_image=None if parent is None else parent.image,
        user=user,
    )
