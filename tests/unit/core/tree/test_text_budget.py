"""agentd.core.tree.text_budget"""

from __future__ import annotations

from typing import Any

from agentd.core.tree.images import Forgotten
from agentd.core.tree.process import Image, Notes, Process
from agentd.core.tree.text_budget import STEPS_A_BATCH, TextBudget
from agentd.core.tree.text_walk import STEPS_A_PROCESS_MAX
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
    """Whatever ran, as long as a quarter of it is free."""
    tree = _tree(1000)
    for tgid in range(1, 45):
        _run(tree, tgid, tgid)
    assert not any(tree.images.forgotten.values())
    assert all(_image(tree, tgid).args == _args(tgid) for tgid in range(1, 45))


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
    assert tree.images.forgotten[Forgotten.ARGS] == kept.count(False)


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
    assert tree.images.forgotten[Forgotten.PAST] == gone.past_forgotten
    assert gone.image.args == _args(30)
    assert tree.images.forgotten[Forgotten.ARGS] == 0


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
    """However many processes there are, it comes once for an eighth of the limit."""
    tree = _tree(1000)
    for tgid in range(1, 2001):
        _run(tree, tgid, tgid)
    eighth = 125 * KIB
    assert tree.text_budget.walks_total <= 2000 * (FAT + KIB) // eighth + 1


def _seed(tree: Tree, count: int) -> None:
    tree.seed(
        [
            Process((tgid, tgid * TICK_NS), (0, 0), Image(b"x", b"/x", b"%d\0" % tgid, 1),
                    executed=True, coarse=True)
            for tgid in range(1, count + 1)
        ],
        1 << 60,
    )  # fmt: skip


def test_no_batch_takes_more_than_its_steps() -> None:
    """131,072 processes with text of their own are walked a slice a batch, to the end."""
    tree = Tree(tree_limits(text_bytes=64 << 20, live_capacity=131_072), TICK_NS)
    _seed(tree, 131_072)
    budget = tree.text_budget
    walks = budget.walks_total
    number, most = 0, 0
    while budget.walks_total < walks + 2:
        before = budget.steps_total
        for _ in range(32):
            number += 1
            _run(tree, number, number)
        tree.expire(0)
        most = max(most, budget.steps_total - before)
        assert tree.images.used_bytes <= 64 << 20
    assert STEPS_A_BATCH <= most <= STEPS_A_BATCH + STEPS_A_PROCESS_MAX


def test_forks_do_not_keep_a_walk_from_its_end() -> None:
    """Each fork during a walk adds to what it has to pass, and pays for that."""
    tree = Tree(tree_limits(text_bytes=8 << 20, live_capacity=200_000), TICK_NS)
    tree.text_budget = TextBudget(tree.images, steps_a_batch=1000)
    _seed(tree, 8000)
    walks, tgid = tree.text_budget.walks_total, 10_000
    while tree.text_budget.walks_total == walks:
        tgid += 1
        _run(tree, tgid, tgid)
    oldest: dict[str, Any] = {"parent_tgid": 1, "parent_start_boottime_ns": TICK_NS}
    batches = 0
    while tree.images.counted is not None:
        for _ in range(1000):
            tgid += 1
            tree.apply(fork(comm=b"x".ljust(16, b"\0"), **_who(tgid), **oldest))
        tree.expire(0)
        batches += 1
        assert batches < 100


def test_an_exec_that_finds_no_room_is_told_whole_and_kept_bare() -> None:
    """As long as a walk has not ended; then text is kept again."""
    limit_bytes = 4 << 20
    tree = Tree(tree_limits(text_bytes=limit_bytes, live_capacity=10_000), TICK_NS)
    _seed(tree, 3500)
    for tgid in range(1, 401):
        applied = tree.apply(execed(b"/bin/fat", _args(tgid), **_who(tgid)))
        assert applied is not None
        assert (applied.image.args, applied.image.notes) == (_args(tgid), 0)
        assert tree.images.used_bytes <= limit_bytes
    bare = tree.living.at(400)
    assert bare is not None
    assert bare.image == Image(b"name", b"", b"", 2, notes=Notes.ALL_FORGOTTEN)
    assert (bare.past, bare.past_forgotten) == (None, 1)
    assert tree.images.forgotten[Forgotten.EXECUTABLE] > 0
    assert tree.images.forgotten[Forgotten.PAST] > 0
    for _ in range(10):
        tree.expire(0)
    _run(tree, 401, 401)
    assert _image(tree, 401).args == _args(401)
