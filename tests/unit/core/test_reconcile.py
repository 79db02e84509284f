"""agentd.core.reconcile"""

from __future__ import annotations

from typing import Any

import pytest

from agentd.core.process import Image, Key, Process
from agentd.core.reconcile import Inferred, Kinds, Observed, Scan, reconcile
from agentd.core.tree import Tree
from tests.records import EXEC, EXIT, FORK, TICK_NS, execed, exited, fork, tree_limits

KINDS = Kinds(FORK, EXEC, EXIT)
BEGUN_NS, SEEN_NS, ENDED_NS = 1_000 * TICK_NS, 1_001 * TICK_NS, 1_002 * TICK_NS
NOW_NS = ENDED_NS + 1
A: dict[str, Any] = {"tgid": 10, "start_boottime_ns": 5 * TICK_NS + 3}
A_KEY: Key = (10, 5 * TICK_NS + 3)
CHILD: dict[str, Any] = {
    "tgid": 11,
    "start_boottime_ns": 7 * TICK_NS + 1,
    "parent_tgid": 10,
    "parent_start_boottime_ns": 5 * TICK_NS + 3,
}
CHILD_KEY: Key = (11, 7 * TICK_NS + 1)
SHELL = Image(b"sh", b"/bin/sh", b"sh\0", 1)


def _tree() -> Tree:
    tree = Tree(tree_limits(), TICK_NS)
    tree.apply(
        execed(b"/bin/sh", b"sh\0", boottime_ns=5 * TICK_NS, comm=b"sh".ljust(16, b"\0"), **A)
    )
    tree.watch_exits()
    return tree


def _seen(
    tgid: int, ticks: int, image: Image = SHELL, parent: Key = (1, 0), *, inside: bool = True
) -> Observed:
    key = (tgid, ticks * TICK_NS)
    process = Process(key, parent, image, executed=True, coarse=True, inside=inside)
    process.verified_ns = SEEN_NS
    return Observed(process, 7, 8)


def _reconcile(tree: Tree, *seen: Observed, complete: bool = True) -> list[Inferred]:
    return reconcile(tree, Scan(BEGUN_NS, ENDED_NS, seen, complete), NOW_NS, KINDS)


def test_a_tree_that_agrees_is_left_alone() -> None:
    """What is known as it is seen is no event."""
    tree = _tree()
    assert _reconcile(tree, _seen(10, 5)) == []
    assert [process.key for process in tree.living.values()] == [A_KEY]


def test_a_process_that_is_not_known_was_forked_unseen() -> None:
    """It is added, below its parent's exact key, and told with what it runs and its user."""
    tree = _tree()
    (found,) = _reconcile(tree, _seen(11, 7, parent=(10, 5 * TICK_NS)), _seen(10, 5))
    assert (found.kind, found.key, found.parent) == (FORK, (11, 7 * TICK_NS), A_KEY)
    assert (found.image, found.user) == (SHELL, (7, 8))
    assert found.parent_image is not None
    assert found.parent_image._replace(place=b"") == SHELL
    assert found.boottime_ns == NOW_NS
    added = tree.find(CHILD_KEY)
    assert added is not None
    assert added.key == CHILD_KEY


def test_parents_are_told_before_their_children() -> None:
    """Whatever order the scan has, who began earlier comes first."""
    tree = _tree()
    late, early = _seen(12, 9, parent=(11, 7 * TICK_NS)), _seen(11, 7, parent=(10, 5 * TICK_NS))
    found = _reconcile(tree, late, early, _seen(10, 5))
    assert [inferred.key[0] for inferred in found] == [11, 12]
    assert found[1].parent_image == SHELL


def test_a_process_that_is_gone_exited_unseen() -> None:
    """It is closed and told, without an ending."""
    tree = _tree()
    (found,) = _reconcile(tree)
    assert (found.kind, found.key, found.user) == (EXIT, A_KEY, None)
    assert list(tree.living.values()) == []
    remembered = tree.find(A_KEY)
    assert remembered is not None
    assert remembered.exit_code is None


def test_nobody_is_gone_where_processes_are_hidden() -> None:
    """A scan that does not see everything closes nothing."""
    tree = _tree()
    assert _reconcile(tree, complete=False) == []
    assert len(tree.living) == 1


def test_who_began_during_the_scan_need_not_be_in_it() -> None:
    """A process forked after its place in the list was passed is not gone."""
    tree = _tree()
    tree.apply(fork(boottime_ns=SEEN_NS, tgid=20, start_boottime_ns=SEEN_NS))
    assert _reconcile(tree, _seen(10, 5)) == []
    assert len(tree.living) == 2


def test_who_exits_after_it_was_seen_is_not_brought_back() -> None:
    """The exit was told already, of a process known or not."""
    tree = _tree()
    tree.apply(exited(boottime_ns=SEEN_NS + 5, **A))
    tree.apply(exited(boottime_ns=SEEN_NS + 6, **CHILD))
    assert _reconcile(tree, _seen(10, 5), _seen(11, 7)) == []
    assert len(tree.living) == 0


def test_another_image_is_an_exec_unseen() -> None:
    """A process that runs another file than was known has exec'd."""
    tree = _tree()
    other = Image(b"cat", b"/bin/cat", b"cat\0", 1)
    (found,) = _reconcile(tree, _seen(10, 5, image=other))
    assert (found.kind, found.key, found.image) == (EXEC, A_KEY, other)
    process = tree.find(A_KEY)
    assert process is not None
    assert (process.image, process.executed) == (other, True)


def test_an_exec_after_the_sight_stands() -> None:
    """What an event told later than the process was seen is not undone."""
    tree = _tree()
    tree.apply(execed(b"/bin/new", boottime_ns=SEEN_NS + 1, **A))
    assert _reconcile(tree, _seen(10, 5)) == []
    process = tree.find(A_KEY)
    assert process is not None
    assert process.image.executable == b"/bin/new"


def test_a_new_owner_of_a_pid_closes_the_old_one() -> None:
    """A pid that was used again: the first owner exited, the second was forked, both unseen."""
    tree = _tree()
    found = _reconcile(tree, _seen(10, 300))
    assert [(inferred.kind, inferred.key[1]) for inferred in found] == [
        (EXIT, A_KEY[1]),
        (FORK, 300 * TICK_NS),
    ]
    assert [process.key[1] // TICK_NS for process in tree.living.values()] == [300]


def test_an_adopted_process_has_its_new_parent() -> None:
    """Reparenting is no event; the tree has it all the same."""
    tree = _tree()
    tree.apply(fork(boottime_ns=7 * TICK_NS + 2, **CHILD))
    assert _reconcile(tree, _seen(10, 5), _seen(11, 7, image=SHELL, parent=(1, 0))) == []
    child = tree.find(CHILD_KEY)
    assert child is not None
    assert child.parent == (1, 0)


@pytest.mark.parametrize("inside", [True, False])
def test_what_is_outside_the_filter_is_no_event(inside: bool) -> None:
    """It is known, as a parent to be, and not told."""
    tree = _tree()
    found = _reconcile(tree, _seen(10, 5), _seen(11, 7, inside=inside))
    assert len(found) == int(inside)
    assert len(tree.living) == 2


@pytest.mark.parametrize("inside", [True, False])
def test_a_seeded_process_that_is_gone(inside: bool) -> None:
    """It is closed; outside the filter its exit could not be seen, and is not told."""
    tree = Tree(tree_limits(), TICK_NS)
    tree.seed([_seen(30, 3, inside=inside).process], BEGUN_NS)
    assert len(_reconcile(tree)) == int(inside)
    assert len(tree.living) == 0


def test_an_unknown_image_is_filled_in() -> None:
    """A process whose image was never known, its fork having been lost, has not exec'd."""
    tree = _tree()
    tree.apply(fork(boottime_ns=7 * TICK_NS + 2, **CHILD | {"parent_start_boottime_ns": 1}))
    assert _reconcile(tree, _seen(10, 5), _seen(11, 7)) == []
    child = tree.find(CHILD_KEY)
    assert child is not None
    assert child.image == SHELL
