"""agentd.core.usage"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.usage import OTHER, Ranking, Sums, Work

NAMES = ("a", "b", "c", "d", "e", OTHER)


def _work(cpu_ns: int, exits: int = 1) -> Work:
    return Work(exits=exits, cpu_ns=cpu_ns, max_rss_pages=cpu_ns)


def test_sums_of_many_names() -> None:
    """Beyond the bound, what has no name of its own is one."""
    sums = Sums(2, OTHER)
    for name, cpu_ns in (("a", 1), ("b", 2), ("c", 3), ("a", 4), ("d", 5)):
        sums.add(name, _work(cpu_ns))
    assert sums.named == {"a": Work(0, 2, 5, 4), "b": Work(0, 1, 2, 2), OTHER: Work(0, 2, 8, 5)}


def test_who_does_most_is_named_from_the_next_review_on() -> None:
    """The least gives way to it; no sum falls; what it did before stays in ``other``."""
    ranking = Ranking(2, OTHER)
    for name, cpu_ns in (("a", 10), ("b", 20), ("c", 100)):
        ranking.add(name, _work(cpu_ns))
    assert ranking.other == _work(100)
    ranking.review()
    assert ranking.named == {"b": _work(20), "c": Work()}
    ranking.add("c", _work(7))
    ranking.add("a", _work(7))
    assert ranking.named["c"] == _work(7)
    assert ranking.other == Work(0, 2, 107, 100)


def test_a_little_more_is_not_enough() -> None:
    """Two that do much the same do not take turns, and who did nothing drives nobody out."""
    ranking = Ranking(1, OTHER)
    ranking.add("a", _work(10))
    ranking.add("b", _work(19))
    ranking.review()
    assert list(ranking.named) == ["a"]
    ranking.add("b", _work(0))
    ranking.review()
    assert list(ranking.named) == ["a"]


def test_none_is_named() -> None:
    """A capacity of 0: all is ``other``."""
    ranking = Ranking(0, OTHER)
    ranking.add("a", _work(10))
    ranking.review()
    assert (ranking.named, ranking.other) == ({}, _work(10))


def test_what_is_called_other_is_in_other() -> None:
    """A name that is the rest's has no series of its own beside it, and drives nobody out."""
    ranking = Ranking(1, OTHER)
    ranking.add("a", _work(1))
    ranking.add(OTHER, _work(100))
    ranking.review()
    assert ranking.series() == [("a", _work(1)), (OTHER, _work(100))]


@given(
    st.integers(0, 3),
    st.lists(st.one_of(st.none(), st.tuples(st.sampled_from(NAMES), st.integers(0, 100)))),
)
def test_bounded_and_never_falling(capacity: int, steps: list[tuple[str, int] | None]) -> None:
    """There are never more names than may be, and between reviews every sum only grows."""
    ranking = Ranking(capacity, OTHER)
    total, other = 0, 0
    for step in steps:
        if step is None:
            gone = sum(work.cpu_ns for work in ranking.named.values())
            ranking.review()
            total -= gone - sum(work.cpu_ns for work in ranking.named.values())
        else:
            ranking.add(step[0], _work(step[1]))
            total += step[1]
        assert len(ranking.named) <= capacity
        names = [name for name, _ in ranking.series()]
        assert len(names) == len(set(names)) == (len(ranking.named) + 1 if capacity else 0)
        assert ranking.other.cpu_ns >= other
        other = ranking.other.cpu_ns
        assert other + sum(work.cpu_ns for work in ranking.named.values()) == total
