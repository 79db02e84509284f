"""agentd.snapshot.answers"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.names import Names
from agentd.core.tree.tree import Tree
from agentd.filters.facts import FactFinder
from agentd.snapshot.answers import Subject, joined, object_texts
from agentd.snapshot.question import PIECE_BYTES
from tests.questions import answered
from tests.records import TICK_NS, WIRE, fork, tree_limits

CHAIN = 60_000


@given(st.lists(st.text("ab", max_size=3 * PIECE_BYTES // 2), max_size=6))
def test_pieces_are_bounded_and_whole(texts: list[str]) -> None:
    """Nothing is lost between them, and only the last is shorter than it may be."""
    pieces = list(joined(texts))
    assert b"".join(pieces).decode() == "".join(texts)
    assert all(len(piece) == PIECE_BYTES for piece in pieces[:-1])
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)


@pytest.mark.parametrize("values", [[], [1], [{"b": None}, "x"]])
def test_objects_with_iterators(values: list[object]) -> None:
    """They are the same JSON as with lists."""
    text = "".join(object_texts({"a": 1, "list": iter(values), "z": {"y": [2]}}))
    assert json.loads(text) == {"a": 1, "list": values, "z": {"y": [2]}}
    assert text.endswith("}\n")


def test_a_long_line_of_ancestors() -> None:
    """Is answered in pieces, all of it."""
    tree = Tree(tree_limits(live_capacity=2 * CHAIN), TICK_NS)
    for number in range(1, CHAIN + 1):
        parent = (number - 1) * TICK_NS
        tree.apply(
            fork(
                tgid=number,
                start_boottime_ns=number * TICK_NS,
                boottime_ns=number * TICK_NS,
                parent_tgid=number - 1,
                parent_start_boottime_ns=parent,
            )
        )
    facts = FactFinder(tree, WIRE, Names(lambda n: None, lambda n: None, lambda n: None), "0" * 16)
    subject = Subject(tree, "0" * 16, lambda: 0, facts)
    status, body = answered(subject, "/v1/explain", f"id={CHAIN}")
    assert status == 200
    assert len(body) > 10 * PIECE_BYTES
    assert [above["pid"] for above in json.loads(body)["ancestors"]] == [*range(CHAIN - 1, 0, -1)]
