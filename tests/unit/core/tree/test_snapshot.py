"""agentd.core.tree.snapshot"""

from __future__ import annotations

from typing import Any

import msgpack

from agentd.core.tree.ancestry import ancestors
from agentd.core.tree.process import Image, Process
from agentd.core.tree.snapshot import restore, take
from agentd.core.tree.tree import Tree
from tests.records import TICK_NS, execed, exited, fork, tree_limits

INIT: dict[str, Any] = {"parent_tgid": 1, "parent_start_boottime_ns": 5}


def _who(tgid: int, start: int, **more: int) -> dict[str, Any]:
    return {"tgid": tgid, "start_boottime_ns": start * TICK_NS + 3} | more


def _child_of(tgid: int, start: int) -> dict[str, Any]:
    return {"parent_tgid": tgid, "parent_start_boottime_ns": start * TICK_NS + 3}


def _seeded(*living: tuple[int, int]) -> Tree:
    """What /proc shows: init, and these by pid and tick."""
    tree = Tree(tree_limits(), TICK_NS)
    seen = [
        Process((tgid, tick * TICK_NS), (1, 0), Image(b"x", b"/bin/b", b"b\0", 1),
                executed=True, coarse=True)
        for tgid, tick in ((1, 0), *living)
    ]  # fmt: skip
    tree.seed(seen, 100 * TICK_NS)
    return tree


def _before() -> Tree:
    """A maker that left, its child that runs its second program, and one that is about to exit."""
    tree = Tree(tree_limits(), TICK_NS)
    tree.apply(fork(**_who(10, 10), **INIT, boottime_ns=10 * TICK_NS))
    tree.apply(execed(b"/bin/maker", b"maker\0", **_who(10, 10), **INIT, boottime_ns=10 * TICK_NS))
    tree.apply(fork(**_who(11, 11), **_child_of(10, 10), boottime_ns=11 * TICK_NS))
    tree.apply(
        execed(b"/bin/a", b"a\0", **_who(11, 11), **_child_of(10, 10), boottime_ns=11 * TICK_NS)
    )
    tree.apply(
        execed(b"/bin/b", b"b\0", **_who(11, 11), **_child_of(10, 10), boottime_ns=12 * TICK_NS)
    )
    tree.apply(fork(**_who(12, 12), **_child_of(11, 11), boottime_ns=12 * TICK_NS))
    tree.apply(exited(**_who(10, 10), **INIT, exit_code=256, boottime_ns=13 * TICK_NS))
    return tree


def test_nobody_is_forgotten() -> None:
    """Who exited, who made whom, what it ran before, and the exact keys: all are there again."""
    plain = msgpack.unpackb(msgpack.packb(take(_before())))
    tree = _seeded((11, 11))
    assert restore(tree, plain) == 3
    process = tree.living.at(11)
    assert process is not None
    assert (process.key, process.coarse) == ((11, 11 * TICK_NS + 3), False)
    line = ancestors(tree, process)
    assert (line[0].process.key[0], line[0].is_creator) == (10, True)
    assert line[0].process.exit_code == 256
    assert process.image.executable == b"/bin/b"
    past = process.past
    assert past is not None
    assert past.image.executable == b"/bin/a"
    gone = tree.find((10, 10 * TICK_NS + 3))
    assert gone is line[0].process


def test_who_execd_in_between() -> None:
    """What it ran is what it ran before; its exec is still in the buffer, and tells when."""
    before = _before()
    tree = _seeded((11, 11))
    seen = tree.living.at(11)
    assert seen is not None
    seen.image = Image(b"c", b"/bin/b", b"c\0other\0", 2)
    seen.verified_ns = 90 * TICK_NS
    restore(tree, take(before))
    event = execed(b"/bin/b", b"c\0other\0", **_who(11, 11), boottime_ns=50 * TICK_NS)
    tree.apply(event)
    assert (seen.image.args, seen.image_ns) == (b"c\0other\0", 50 * TICK_NS)
    assert seen.past is not None
    assert seen.past.image.args == b"b\0"


def test_who_exited_in_between_is_closed_by_its_exit() -> None:
    """Its exit is still in the buffer; it finds the process, with what that ran."""
    tree = _seeded((11, 11))
    restore(tree, take(_before()))
    applied = tree.apply(exited(**_who(12, 12), **_child_of(11, 11), boottime_ns=99 * TICK_NS))
    assert applied is not None
    assert applied.image.executable == b"/bin/b"
    assert tree.misses["exit_unknown"] == 0


def test_a_pid_that_has_another_owner_now() -> None:
    """Who /proc shows is not displaced."""
    tree = _seeded((11, 50))
    restore(tree, take(_before()))
    process = tree.living.at(11)
    assert process is not None
    assert process.key[1] // TICK_NS == 50


def test_another_format_is_left_alone() -> None:
    """Of another version nothing is taken."""
    tree = _seeded()
    for snapshot in (None, [], ["agentd-tree-0", [1]]):
        assert restore(tree, snapshot) == 0
