"""Where a process comes from and what came of it: ancestors and children, live or remembered."""

from __future__ import annotations

from typing import Final, NamedTuple

from agentd.core.tree.process import Key, Process
from agentd.core.tree.tree import Tree

_UP_MAX: Final = 64
"""Others choose how long a line of ancestors is, and each event may ask."""


class Ancestor(NamedTuple):
    """One step up."""

    process: Process
    is_creator: bool
    """It forked the one below; otherwise it is the parent that the kernel names, perhaps an
    adopter, because the creator is not known."""


def ancestors(tree: Tree, process: Process) -> list[Ancestor]:
    """From who created it up to the first that is known; ``gap`` of that one says why no more."""
    chain: list[Ancestor] = []
    met = {id(process)}
    while True:
        above = process.creator or tree.find(tree.adopters.parent(process))
        if above is None or id(above) in met:
            return chain
        chain.append(Ancestor(above, process.creator is not None))
        met.add(id(above))
        process = above


def whereabouts(process: Process) -> tuple[bytes, str]:
    """Place and cgroup path of the nearest that has one: as of its last exec, or as /proc showed
    it. Children have both from their creator, so only what was forgotten is looked for further up.
    """
    above: Process | None = process
    for _ in range(_UP_MAX):
        if above is None:
            break
        if above.image.place or above.seen_cgroup:
            return above.image.place, above.seen_cgroup
        above = above.creator
    return b"", ""


def depth(tree: Tree, process: Process, known: dict[Key, int]) -> int:
    """How many ancestors are known. ``known``: those of others, which it adds to."""
    chain: list[Key] = []
    above: Process | None = process
    while above is not None and above.key not in known:
        known[above.key] = 0  # should it be met again, the chain ends there
        chain.append(above.key)
        above = above.creator or tree.find(tree.adopters.parent(above))
    base = 0 if above is None else known[above.key] + 1
    for number, key in enumerate(reversed(chain), base):
        known[key] = number
    return known[process.key]


def children(tree: Tree, process: Process) -> list[Process]:
    """Those that it created, or has now, the oldest first. Looks at the whole tree."""
    key, parent = process.key, tree.adopters.parent
    found = [
        other
        for others in (tree.living.values(), tree.departed.values())
        for other in others
        if other is not process and (other.creator is process or parent(other) == key)
    ]
    return sorted(found, key=_by_start)


def latest(tree: Tree, tgid: int) -> Process | None:
    """The process that has that pid, or had it last."""
    living = tree.living.at(tgid)
    if living is not None:
        return living
    owners = [process for process in tree.departed.values() if process.key[0] == tgid]
    return max(owners, key=_by_start, default=None)


def _by_start(process: Process) -> int:
    return process.key[1]
