"""A tree as plain values and back: so that a planned restart forgets nobody.

What lives is found by /proc as well, but only to a clock tick, and without its creator and what
it ran before; who has exited is found nowhere else. What processes share is there once.
"""

from __future__ import annotations

from typing import Any

from agentd.core.redact import redact_nothing
from agentd.core.tree.images import Images
from agentd.core.tree.proc_compare import is_same_command
from agentd.core.tree.process import Entry, Image, Key, Process
from agentd.core.tree.tree import Tree

FORMAT = "agentd-tree-5"
_PLAIN = (
    "key", "parent", "executed", "coarse", "inside", "image_ns", "verified_ns", "gap",
    "process_group", "session", "uid", "finished_cpu_ns", "exit_code", "exited_ns",
    "past_forgotten",
)  # fmt: skip
"""Members that are plain values."""


class _Shared:
    """What several processes have: each item once, and its number."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._numbers: dict[int, int] = {}

    def number(self, item: Any) -> int:
        """Which of the items it is; the items stay, so their ids do."""
        number = self._numbers.get(id(item))
        if number is None:
            number = self._numbers[id(item)] = len(self.items)
            self.items.append(item)
        return number


def take(tree: Tree) -> list[Any]:
    """Everybody in the tree: the departed, oldest exit first, then the living."""
    tree.adopters.settle()
    departed = sorted(tree.departed.values(), key=_by_exit)
    images, cgroups = _Shared(), _Shared()
    everybody = (*departed, *tree.living.values())
    processes = [_plain(process, images, cgroups) for process in everybody]
    return [FORMAT, images.items, cgroups.items, processes]


def restore(tree: Tree, snapshot: Any) -> int:
    """Put everybody back into a tree that has just been seeded; how many there were.

    Nothing of a snapshot in another format.
    """
    if not snapshot or snapshot[0] != FORMAT:
        return 0
    _, plain_images, paths, processes = snapshot
    images = [tree.images.shared(Image(*image)) for image in plain_images]
    cgroups = [tree.images.cgroup(path) for path in paths]
    known: dict[Key, Process] = {}
    for plain in processes:
        process = _process(plain, images, cgroups, tree.images)
        found = None if process.exited_ns else tree.living.find(process.key)
        known[process.key] = process if found is None else _refined(found, process, tree.images)
    for plain in processes:
        _link(known[tuple(plain[0][0])], plain, known)
    for process in known.values():
        if process.exited_ns:
            tree.departed.remember(process, process.exited_ns)
        elif tree.living.at(process.key[0]) is None:
            tree.living.insert(process)  # its exit is still to be read
    tree.forget_at_once()
    return len(known)


def _plain(process: Process, images: _Shared, cgroups: _Shared) -> list[Any]:
    past, ran = [], process.past
    while ran is not None:
        past.append([images.number(ran.image), ran.since_ns])
        ran = ran.before
    entry = process.entry and [process.entry.leader.key, process.entry.kind]
    creator = process.creator and process.creator.key
    values = [getattr(process, name) for name in _PLAIN]
    image, cgroup = images.number(process.image), cgroups.number(process.seen_cgroup)
    return [values, image, past, creator, entry, cgroup]


def _process(plain: Any, images: list[Image], cgroups: list[str], shared: Images) -> Process:
    values, image, past, _, _, cgroup = plain
    process = Process((0, 0), (0, 0), images[image], executed=True, seen_cgroup=cgroups[cgroup])
    for name, value in zip(_PLAIN, values, strict=True):
        setattr(process, name, tuple(value) if isinstance(value, list) else value)
    for before, since_ns in reversed(past):
        shared.remember(process, images[before], since_ns)
    return process


def _refined(found: Process, known: Process, images: Images) -> Process:
    """What /proc shows, with what only the events had told; which image it runs, /proc knows."""
    found.past, found.past_forgotten = known.past, known.past_forgotten
    same_file = found.image.executable == known.image.executable
    if same_file and is_same_command(known.image, found.image, redact_nothing):
        found.image, found.image_ns = known.image, known.image_ns
    else:
        images.remember(found, known.image, known.image_ns)
    found.executed, found.gap = known.executed, known.gap
    found.finished_cpu_ns = known.finished_cpu_ns
    return found


def _link(process: Process, plain: Any, known: dict[Key, Process]) -> None:
    """To its creator, and to who let it in."""
    _, _, _, creator, entry, _ = plain
    above = known.get(tuple(creator)) if creator else None
    if above is not None and process.creator is None:
        process.creator = above
        above.children += 1
    leader = known.get(tuple(entry[0])) if entry else None
    if leader is not None:
        process.entry = Entry(leader, entry[1])


def _by_exit(process: Process) -> int:
    return process.exited_ns
