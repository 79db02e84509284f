"""Whatever runs, with arguments as large as they get: the text in the tree stays in its budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.tree.process import Image, Notes, Process
from agentd.core.tree.text_budget import ALL_STEPS, TextBudget
from agentd.core.tree.tree import Tree
from tests.records import TICK_NS, execed, exited, fork, tree_limits

LIMIT_BYTES = 1 << 19
ARGS_MAX = 16384
PATH_MAX = 4096

Step: TypeAlias = tuple[str, int, int, int, int]
"""What, by whom, another one, how long arguments and path are."""

steps = st.tuples(
    st.sampled_from(["fork", "exec", "exec", "exec", "exit", "seen"]),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([0, 1, 100, ARGS_MAX]),
    st.sampled_from([0, 10, PATH_MAX]),
)

slices = st.sampled_from([1, 7, 100, ALL_STEPS])
"""How many steps the walk over all text may take in a batch."""


def _key(tgid: int) -> dict[str, Any]:
    return {"tgid": tgid + 10, "start_boottime_ns": (tgid + 10) * TICK_NS}


def _do(tree: Tree, number: int, step: Step) -> None:
    what, tgid, other, args, path = step
    now: dict[str, Any] = {"boottime_ns": (1000 + number) * TICK_NS}
    above = {"parent_tgid": other + 10, "parent_start_boottime_ns": (other + 10) * TICK_NS}
    text = str(number).encode().ljust(args, b"x")[:args] + b"\0"
    file = b"/" + str(number).encode().ljust(path, b"p")[:path]
    if what == "fork":
        comm = str(number).encode().ljust(16, b"\0")
        tree.apply(fork(**_key(tgid + 100 * number), **above, **now, comm=comm))
    elif what == "exec":
        tree.apply(execed(file, text, **_key(tgid), **now))
    elif what == "exit":
        tree.apply(exited(**_key(tgid), **now))
    else:
        key = (tgid + 10, (tgid + 10) * TICK_NS)
        image = Image(b"seen", file, text, 1)
        cgroup = file.decode()
        tree.add(Process(key, (0, 0), image, executed=True, coarse=True, seen_cgroup=cgroup), "", 1)


def _texts(process: Process) -> Iterator[bytes | str]:
    """All that has a size which others choose."""
    ran = process.past
    images = [process.image]
    while ran is not None:
        images.append(ran.image)
        ran = ran.before
    for image in images:
        yield from (image.executable, image.args, image.place)
    yield process.seen_cgroup


def _held_bytes(tree: Tree) -> int:
    """What is there, each string once."""
    everybody = [*tree.living.values(), *tree.departed.values()]
    texts = {id(text): len(text) for process in everybody for text in _texts(process)}
    return sum(texts.values())


def _tree(steps_a_batch: int) -> Tree:
    tree = Tree(tree_limits(live_capacity=64, exited_capacity=64, text_bytes=LIMIT_BYTES), TICK_NS)
    tree.text_budget = TextBudget(tree.images, steps_a_batch)
    tree.expire(0)
    return tree


@given(st.lists(steps, min_size=1, max_size=100), slices, st.integers(1, 3))
def test_the_account_is_no_less_than_what_is_held_and_no_more_than_the_budget(
    workload: list[Step], steps_a_batch: int, batch: int
) -> None:
    """After each step of any workload, however slowly the text is counted."""
    tree = _tree(steps_a_batch)
    for number, step in enumerate(workload):
        _do(tree, number, step)
        assert _held_bytes(tree) <= tree.images.used_bytes <= LIMIT_BYTES
        if not number % batch:
            tree.expire(0)
            assert _held_bytes(tree) <= tree.images.used_bytes


@given(st.lists(steps, min_size=50, max_size=100), slices)
def test_what_is_forgotten_is_flagged(workload: list[Step], steps_a_batch: int) -> None:
    """No process has fewer arguments than it was given without a word of it."""
    tree = _tree(steps_a_batch)
    for number, step in enumerate(workload):
        _do(tree, number, step)
        tree.expire(0)
    for process in (*tree.living.values(), *tree.departed.values()):
        image = process.image
        if image.args_count and not image.args:
            assert image.notes & Notes.ARGS_FORGOTTEN
        if image.args_count and not image.executable:
            assert image.notes & Notes.EXECUTABLE_FORGOTTEN
