"""agentd.core.tree.text_budget"""

from __future__ import annotations

from typing import Any

from agentd.core.tree.process import Image, Notes, Process
from agentd.core.tree.text_budget import Forgotten
from agentd.core.tree.tree import Tree
from tests.records import TICK_NS, execed, exited, fork, tree_limits

KIB = 1024
FAT = 15 * KIB


def _args(number: int) -> bytes:
    return b"fat\0" + str(number).encode().ljust(FAT, b"x") + b"\0"


def _who(tgid: int) -> dict[str, Any]:
    return {"tgid": tgid, "start_boottime_ns": tgid * TICK_NS, "boottime_ns": tgid * TICK_NS}


def _tree(text_kib: int) -> Tree:
    return Tree(tree_limits(text_bytes=text_kib * KIB, live_capacity=10_000), TICK_NS)


def _run(tree: Tree, tgid: int, number: int) -> None:
    tree.apply(execed(b"/bin/fat", _args(number), **_who(tgid)))


def _image(tree: Tree, tgid: int) -> Image:
    process = tree.living.at(tgid)
    assert process is not None
    return process.image


def test_below_the_limit_nothing_is_forgotten() -> None:
    """Whatever ran."""
    tree = _tree(1000)
    for tgid in range(1, 50):
        _run(tree, tgid, tgid)
    assert not any(tree.text_budget.forgotten.values())
    assert all(_image(tree, tgid).args == _args(tgid) for tgid in range(1, 50))


def test_the_oldest_arguments_go_first_and_are_flagged() -> None:
    """What it runs stays known, and how many arguments it was given."""
    tree = _tree(1000)
    for tgid in range(1, 101):
        _run(tree, tgid, tgid)
    assert tree.images.used_bytes <= 1000 * KIB
    oldest, youngest = _image(tree, 1), _image(tree, 100)
    assert oldest == Image(b"name", b"/bin/fat", b"", 2, youngest.place, notes=Notes.ARGS_FORGOTTEN)
    assert youngest.args == _args(100)
    kept = [bool(_image(tree, tgid).args) for tgid in range(1, 101)]
    assert kept == sorted(kept)
    assert tree.text_budget.forgotten[Forgotten.ARGS] == kept.count(False)


def test_earlier_images_go_before_arguments() -> None:
    """Of the exited and the living; how many there were stays known."""
    tree = _tree(1000)
    for number in range(1, 31):
        _run(tree, 1, number)
    tree.apply(exited(**_who(1)))
    for tgid in range(2, 42):
        _run(tree, tgid, tgid)
    gone = tree.find((1, TICK_NS))
    assert gone is not None
    left = gone.past.length if gone.past else 0
    assert gone.past_forgotten == 29 - left > 0
    assert tree.text_budget.forgotten[Forgotten.PAST] == gone.past_forgotten
    assert gone.image.args == _args(30)
    assert tree.text_budget.forgotten[Forgotten.ARGS] == 0


def test_what_is_shared_is_counted_once() -> None:
    """Ten thousand children of one shell have its arguments."""
    tree = _tree(100)
    _run(tree, 1, 1)
    parent = {"parent_tgid": 1, "parent_start_boottime_ns": TICK_NS}
    for tgid in range(2, 5000):
        tree.apply(fork(**_who(tgid), **parent))
    assert tree.images.used_bytes < 100 * KIB
    assert _image(tree, 4999) is _image(tree, 1)


def test_paths_are_text_too() -> None:
    """Of very many long ones the oldest are forgotten, and so is where that was."""
    tree = _tree(1000)
    for tgid in range(1, 400):
        path = b"/" + str(tgid).encode().ljust(4000, b"d")
        tree.apply(execed(path, b"x\0", **_who(tgid)))
    assert tree.images.used_bytes <= 1000 * KIB
    oldest = _image(tree, 1)
    assert (oldest.executable, oldest.place, oldest.notes) == (b"", b"", Notes.ALL_FORGOTTEN)
    assert _image(tree, 399).executable


def test_cgroup_paths_that_proc_showed_are_text_too() -> None:
    """Each process may be in a cgroup of its own, with a path of 4 KiB."""
    tree = _tree(1000)
    image = Image(b"x", b"/x", b"x\0", 1)
    tree.seed(
        [
            Process((tgid, tgid * TICK_NS), (0, 0), image, executed=True, coarse=True,
                    seen_cgroup=f"/{tgid:d<4000}")
            for tgid in range(1, 1000)
        ],
        1 << 60,
    )  # fmt: skip
    held = sum(len(process.seen_cgroup) for process in tree.living.values())
    assert held <= tree.images.used_bytes <= 1000 * KIB


def test_a_session_leader_that_left_the_tree_holds_no_text() -> None:
    """Those whose session it began name it for as long as they live."""
    tree = Tree(tree_limits(exited_capacity=0), TICK_NS)
    above: dict[str, Any] = {"parent_tgid": 1, "parent_start_boottime_ns": TICK_NS}
    tree.apply(execed(b"/usr/sbin/sshd", b"sshd\0", comm=b"sshd".ljust(16, b"\0"), **_who(1)))
    tree.apply(fork(**_who(2), **above))
    tree.apply(execed(b"/bin/sh", _args(1), session=2, process_group=2, **_who(2), **above))
    below: dict[str, Any] = {"parent_tgid": 2, "parent_start_boottime_ns": 2 * TICK_NS}
    tree.apply(fork(**_who(3), **below))
    tree.apply(fork(**_who(4), **below))
    tree.apply(exited(**(_who(2) | {"boottime_ns": 9 * TICK_NS}), **above))
    child = tree.living.at(3)
    assert child is not None
    assert child.entry is not None
    leader = child.entry.leader
    assert leader.key[0] == 2
    tree.apply(exited(**(_who(3) | {"boottime_ns": 10 * TICK_NS})))
    tree.apply(exited(**(_who(4) | {"boottime_ns": 11 * TICK_NS})))
    assert tree.find(leader.key) is None
    assert (leader.image.args, leader.past) == (b"", None)


def test_a_walk_is_paid_for_by_new_text() -> None:
    """However many processes there are, it comes once for a quarter of the limit."""
    tree = _tree(1000)
    for tgid in range(1, 2001):
        _run(tree, tgid, tgid)
    quarter = 250 * KIB
    assert tree.text_budget.walks_total <= 2000 * (FAT + KIB) // quarter + 1
