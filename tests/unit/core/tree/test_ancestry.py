"""agentd.core.tree.ancestry"""

from __future__ import annotations

from typing import Any

from agentd.core.tree.ancestry import ancestors, children, depth, latest, whereabouts
from agentd.core.tree.process import Image, Key, Process, Unknown
from agentd.core.tree.tree import Tree
from tests.records import TICK_NS, execed, exited, fork, tree_limits

SECOND: dict[str, Any] = {"tgid": 2, "start_boottime_ns": 2 * TICK_NS}
THIRD: dict[str, Any] = {"tgid": 3, "start_boottime_ns": 3 * TICK_NS}


def _tree() -> Tree:
    """init (seeded) → 2 → 3."""
    tree = Tree(tree_limits(), TICK_NS)
    init = Process(
        (1, TICK_NS), (0, 0), Image(b"init", b"/i", b"i\0", 1), executed=True, coarse=True
    )
    tree.seed([init], 10)
    tree.apply(fork(boottime_ns=20, **SECOND, parent_tgid=1, parent_start_boottime_ns=TICK_NS + 5))
    tree.apply(fork(boottime_ns=30, **THIRD, parent_tgid=2, parent_start_boottime_ns=2 * TICK_NS))
    return tree


def test_ancestors_up_to_the_first() -> None:
    """By who created whom; the first has nobody above and no gap."""
    tree = _tree()
    third = tree.living.at(3)
    assert third is not None
    chain = ancestors(tree, third)
    assert [(a.process.key[0], a.is_creator) for a in chain] == [(2, True), (1, True)]
    assert chain[-1].process.gap == Unknown.KNOWN


def test_an_adopted_child_keeps_its_creator() -> None:
    """The parent changes, who created it does not; it is a child of both."""
    tree = _tree()
    tree.apply(
        exited(boottime_ns=40, **SECOND, parent_tgid=1, parent_start_boottime_ns=TICK_NS + 5)
    )
    tree.apply(execed(boottime_ns=50, **THIRD, parent_tgid=1, parent_start_boottime_ns=TICK_NS + 5))
    third = tree.living.at(3)
    assert third is not None
    assert third.parent == (1, TICK_NS + 5)
    assert [a.process.key[0] for a in ancestors(tree, third)] == [2, 1]
    for tgid in (1, 2):
        above = latest(tree, tgid)
        assert above is not None
        assert third in children(tree, above)


def test_without_a_creator_the_parent_stands_in() -> None:
    """And is told to be no more than that."""
    tree = _tree()
    orphan: dict[str, Any] = {"tgid": 9, "start_boottime_ns": 9, "parent_tgid": 2}
    tree.apply(execed(boottime_ns=60, **orphan, parent_start_boottime_ns=2 * TICK_NS))
    process = tree.living.at(9)
    assert process is not None
    assert [(a.process.key[0], a.is_creator) for a in ancestors(tree, process)] == [
        (2, False),
        (1, True),
    ]


def test_a_circle_of_claims_ends() -> None:
    """Two that claim each other for a parent, as damaged records may say."""
    tree = Tree(tree_limits(), TICK_NS)
    for tgid, parent in ((5, 6), (6, 5)):
        tree.apply(execed(tgid=tgid, start_boottime_ns=tgid, parent_tgid=parent,
                          parent_start_boottime_ns=parent))  # fmt: skip
    process = tree.living.at(5)
    assert process is not None
    assert [a.process.key[0] for a in ancestors(tree, process)] == [6]


def test_the_latest_owner_of_a_pid() -> None:
    """Who lives, else who had it last; nobody for a pid that is not known."""
    tree = _tree()
    for start in (70, 80):
        tree.apply(fork(tgid=7, start_boottime_ns=start, boottime_ns=start))
        tree.apply(exited(tgid=7, start_boottime_ns=start, boottime_ns=start + 1))
    last, living = latest(tree, 7), latest(tree, 3)
    assert last is not None
    assert living is not None
    assert (last.key, living.key) == ((7, 80), (3, 3 * TICK_NS))
    assert latest(tree, 99) is None


def test_depth_is_the_number_of_ancestors() -> None:
    """In whatever order one asks; a circle of claims ends."""
    tree = _tree()
    circle: dict[str, Any] = {"tgid": 20, "start_boottime_ns": 200, "parent_tgid": 21}
    tree.apply(execed(boottime_ns=300, **circle, parent_start_boottime_ns=201))
    circle = {"tgid": 21, "start_boottime_ns": 201, "parent_tgid": 20}
    tree.apply(execed(boottime_ns=301, **circle, parent_start_boottime_ns=200))
    processes = list(tree.living.values())
    for some in (processes, processes[::-1]):
        known: dict[Key, int] = {}
        depths = {process.key[0]: depth(tree, process, known) for process in some}
        assert (depths[1], depths[2], depths[3]) == (0, 1, 2)
        assert max(depths[20], depths[21]) <= 2


def test_where_somebody_runs_is_found_at_once() -> None:
    """At the end of a line that a stranger made long: whoever forks hands on what /proc showed of
    it, and no event walks up to the one of whom it was seen.
    """
    tree = Tree(tree_limits(live_capacity=20_000), TICK_NS)
    image = Image(b"old", b"/bin/old", b"old\0", 1)
    first = Process((1, TICK_NS), (0, 0), image, executed=True, coarse=True, seen_cgroup="/a.slice")
    tree.seed([first], 2 * TICK_NS)
    for tgid in range(2, 10_000):
        who = {"tgid": tgid, "start_boottime_ns": tgid * TICK_NS, "boottime_ns": tgid * TICK_NS}
        above = {"parent_tgid": tgid - 1, "parent_start_boottime_ns": (tgid - 1) * TICK_NS}
        tree.apply(fork(**who, **above))
    last = tree.living.at(9_999)
    assert last is not None
    assert whereabouts(last) == (b"", "/a.slice")
    assert last.seen_cgroup is first.seen_cgroup  # held once
    for process in tree.living.values():
        process.seen_cgroup = ""  # as if it had been forgotten, all of it
    first.seen_cgroup = "/too/far"
    assert whereabouts(last) == (b"", "")
    above_it = tree.living.at(9_950)
    assert above_it is not None
    above_it.seen_cgroup = "/near"
    assert whereabouts(last) == (b"", "/near")
