"""agentd.front.filters"""

from __future__ import annotations

import asyncio

import pytest

from agentd.core.allowance import SAVED_MAX_NS, SHARE_PERCENT
from agentd.errors import AgentdError
from agentd.filters import language
from agentd.filters.fields import Facts
from agentd.filters.patterns import SEARCH_MAX_NS
from agentd.front.filters import Filters, Verdict

MS = 1_000_000
HOSTILE: Facts = {"args": "a" * 16_000 + "!", "uid": 5}
BACKTRACKS = "args ~ '^(a+)+$'"


class _Clock:
    """Stands still unless it is set."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def _verdict(*texts: str) -> Verdict:
    return asyncio.run(Filters().parse(texts))


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        ((), True),
        (("uid = 5",), True),
        (("uid = 5", "uid = 6"), False),
        ((BACKTRACKS,), None),
        ((BACKTRACKS, "uid = 5"), None),
        ((BACKTRACKS, "uid = 6"), False),
    ],
)
def test_all_have_to_hold(texts: tuple[str, ...], verdict: bool | None) -> None:
    """What a search could not decide stays undecided, unless another filter decides it."""
    assert _verdict(*texts)(HOSTILE) is verdict


def test_an_error_names_the_place() -> None:
    """A text that is no filter is refused."""
    with pytest.raises(AgentdError, match="filter, column 1"):
        _verdict("uid = 5", "nosuch = 5")


def test_all_searches_together_take_a_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many filters backtrack, over however many events: no more than the allowance."""
    clock = _Clock()
    spent_ns = 0

    class Slow:
        def search(self, text: str, timeout: float) -> bool:
            nonlocal spent_ns
            spent_ns += SEARCH_MAX_NS
            clock.now_ns += SEARCH_MAX_NS
            raise TimeoutError

    monkeypatch.setattr(language, "compile_text", lambda pattern: Slow())

    async def main() -> None:
        shared = Filters(clock)
        verdicts = [await shared.parse([BACKTRACKS]) for _ in range(10)]
        while clock.now_ns < 1000 * MS:
            assert [verdict(HOSTILE) for verdict in verdicts] == [None] * 10
            clock.now_ns += MS

    asyncio.run(main())
    assert spent_ns <= SAVED_MAX_NS + clock.now_ns * SHARE_PERCENT // 100 + 2 * SEARCH_MAX_NS
    assert spent_ns > SAVED_MAX_NS


def test_who_has_long_filters_parsed_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten of 40 ms each take a fifth of the time, and others have their turn in between."""
    clock = _Clock()
    turns = 0

    def slow_parse(text: str) -> language.ParsedFilter:
        clock.now_ns += 40 * MS
        return language.ParsedFilter(lambda facts, search: True)

    async def sleep(seconds: float) -> None:
        nonlocal turns
        turns += 1
        clock.now_ns += int(seconds * 1e9)

    monkeypatch.setattr(language, "parse_filter", slow_parse)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(Filters(clock).parse(["uid"] * 10))
    assert turns > 10
    allowed_ns = SAVED_MAX_NS + clock.now_ns * SHARE_PERCENT // 100
    assert allowed_ns >= 9 * 40 * MS


def test_patterns_of_a_filter_have_a_bound_together() -> None:
    """64 connections with the largest filter take a part of what a front may have in memory."""
    with pytest.raises(AgentdError, match="all patterns come to more than 10000 items"):
        _verdict(" or ".join(f"args ~ '[a-z]{{3000}}{number}'" for number in range(4)))
