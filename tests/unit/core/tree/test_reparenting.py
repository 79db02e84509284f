"""agentd.core.tree.reparenting"""

from __future__ import annotations

from typing import Any

import pytest

import agentd.core.tree.reparenting
from agentd.core.tree.process import SOMEBODY, Image, Key, Process, Unknown
from agentd.core.tree.tree import Tree
from tests.records import TICK_NS, WIRE, execed, exited, fork, tree_limits


def _key(tgid: int) -> Key:
    return tgid, tgid * TICK_NS + 1


def _made(tgid: int, parent: Key) -> dict[str, Any]:
    names = ("tgid", "start_boottime_ns", "parent_tgid", "parent_start_boottime_ns")
    return dict(zip(names, (*_key(tgid), *parent), strict=True))


def _gone(tgid: int, parent: Key, adopter: Key = (0, 0)) -> dict[str, Any]:
    adopted = {"adopter_tgid": adopter[0], "adopter_start_boottime_ns": adopter[1]}
    return _made(tgid, parent) | adopted | {"boottime_ns": 10**12 + tgid}


def _chain(*tgids: int) -> Tree:
    """Each the child of the one before."""
    tree = Tree(tree_limits(live_capacity=20_000), TICK_NS)
    above = (0, 0)
    for tgid in tgids:
        tree.apply(fork(**_made(tgid, above)))
        above = _key(tgid)
    return tree


def _parent(tree: Tree, tgid: int) -> Key:
    process = tree.living.at(tgid)
    assert process is not None
    return tree.adopters.parent(process)


def test_an_orphan_has_its_adopter_for_a_parent() -> None:
    """Without an event of its own."""
    tree = _chain(1, 2, 3)
    assert _parent(tree, 3) == _key(2)
    tree.apply(exited(**_gone(2, _key(1), _key(1))))
    assert _parent(tree, 3) == _key(1)


def test_an_adopter_that_goes_as_well() -> None:
    """Its own adopter follows, and its own children are no others' business."""
    tree = _chain(1, 2, 3, 4)
    tree.apply(fork(**_made(5, _key(1))))
    tree.apply(exited(**_gone(3, _key(2), _key(2))))
    tree.apply(exited(**_gone(2, _key(1), _key(1))))
    assert [_parent(tree, tgid) for tgid in (4, 5)] == [_key(1), _key(1)]


def test_the_dead_are_adopted_by_nobody() -> None:
    """Who has exited keeps the parent that it had."""
    tree = _chain(1, 2, 3)
    tree.apply(exited(**_gone(3, _key(2))))
    tree.apply(exited(**_gone(2, _key(1), _key(1))))
    dead = tree.find(_key(3))
    assert dead is not None
    assert tree.adopters.parent(dead) == _key(2)


def test_a_parent_that_proc_gave_to_the_tick() -> None:
    """A process that was found, and its parent before any event of it: adopted all the same."""
    tree = Tree(tree_limits(), TICK_NS)
    image = Image(b"seeded", b"/bin/seeded", b"", 0)
    found = [
        Process(
            (tgid, tgid * TICK_NS), (parent, parent * TICK_NS), image, executed=True, coarse=True
        )
        for tgid, parent in ((1, 0), (2, 1), (3, 2))
    ]
    tree.seed(found, 10**12)
    assert _parent(tree, 3) == (2, 2 * TICK_NS)
    tree.apply(exited(**_gone(2, _key(1), _key(1))))
    assert _parent(tree, 3) == _key(1)
    adopter = tree.living.at(1)
    assert adopter is not None
    assert (adopter.key, adopter.coarse) == (_key(1), False)


def test_notes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many leave children, and whoever has been forgotten since, nothing is lost."""
    monkeypatch.setattr(agentd.core.tree.reparenting, "_NOTES_MAX", 10)
    tree = Tree(tree_limits(exited_capacity=0), TICK_NS)
    tree.apply(fork(**_made(1, (0, 0))))
    for tgid in range(100, 300, 2):
        tree.apply(fork(**_made(tgid, _key(1))))
        tree.apply(fork(**_made(tgid + 1, _key(tgid))))
        tree.apply(exited(**_gone(tgid, _key(1), _key(1))))
    assert {_parent(tree, tgid) for tgid in range(101, 300, 2)} == {_key(1)}


def test_a_circle_of_adopters_ends() -> None:
    """Two that adopt for each other, as damaged records may say."""
    tree = _chain(1, 2, 3)
    tree.apply(exited(**_gone(2, _key(1), _key(1))))
    tree.apply(exited(**_gone(1, _key(0), _key(2))))
    assert _parent(tree, 3) == SOMEBODY


def test_somebody_is_as_records_have_it() -> None:
    """The mark of the wire contract is the key that the tree compares with."""
    assert (0, WIRE.constant("AGENTD_SOMEBODY")) == SOMEBODY


def test_an_adopter_that_was_not_found() -> None:
    """The orphan's parent is not known, a scan is due, and its next event names the adopter."""
    tree = _chain(1, 2, 3)
    tree.apply(exited(**_gone(2, _key(1), SOMEBODY)))
    assert (_parent(tree, 3), tree.adopters.sought_total) == (SOMEBODY, 1)
    assert tree.doubts.why_unknown(SOMEBODY) == Unknown.ADOPTER
    tree.apply(execed(**_made(3, _key(1)), boottime_ns=10**12 + 3))
    assert _parent(tree, 3) == _key(1)


def test_an_adopter_that_goes_and_leaves_the_orphan_to_somebody() -> None:
    """Who was adopted by one that is known has nobody that is known then."""
    tree = _chain(1, 2, 3, 4)
    tree.apply(exited(**_gone(3, _key(2), _key(2))))
    tree.apply(exited(**_gone(2, _key(1), SOMEBODY)))
    assert _parent(tree, 4) == SOMEBODY


def test_nobody_who_lives_has_a_dead_parent() -> None:
    """Not even if its parent's exit named nobody."""
    tree = _chain(1, 2, 3)
    tree.apply(exited(**_gone(2, _key(1))))
    assert _parent(tree, 3) == SOMEBODY


def test_what_is_not_known_outlasts_the_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """After any number of other orphans, with their parents forgotten."""
    monkeypatch.setattr(agentd.core.tree.reparenting, "_NOTES_MAX", 2)
    tree = Tree(tree_limits(exited_capacity=0, ancestor_capacity=0), TICK_NS)
    tree.apply(fork(**_made(1, (0, 0))))
    for tgid in range(100, 110, 2):
        tree.apply(fork(**_made(tgid, _key(1))))
        tree.apply(fork(**_made(tgid + 1, _key(tgid))))
        tree.apply(exited(**_gone(tgid, _key(1), SOMEBODY)))
    assert {_parent(tree, tgid) for tgid in range(101, 110, 2)} == {SOMEBODY}


def test_a_long_chain_of_adopters_is_followed_once() -> None:
    """3,000 processes that adopt one after the other, and 4,000 orphans whose parent is asked for:
    the steps grow with their number, and not with its square."""
    adopters, orphans = 3000, 4000
    tree = _chain(*range(1, adopters + 2))
    for tgid in range(10_000, 10_000 + orphans):
        tree.apply(fork(**_made(tgid, _key(adopters + 1))))
    for tgid in range(adopters + 1, 1, -1):
        tree.apply(exited(**_gone(tgid, _key(tgid - 1), _key(tgid - 1))))
    parents = {_parent(tree, tgid) for tgid in range(10_000, 10_000 + orphans)}
    assert parents == {_key(1)}
    assert tree.adopters.steps_total <= 2 * (adopters + orphans)
