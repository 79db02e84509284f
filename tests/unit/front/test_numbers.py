"""agentd.front.numbers"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agentd.front import numbers
from agentd.front.numbers import Numbers, SilentError


def _run(test: Callable[[Numbers, list[int]], Awaitable[None]]) -> None:
    """``asked`` has an entry for each time that the daemon was asked."""

    async def main() -> None:
        asked: list[int] = []
        async with asyncio.timeout(30):
            await test(Numbers(lambda: asked.append(1), list), asked)

    asyncio.run(main())


def test_all_who_ask_share_one_answer() -> None:
    """Those who wait, and those who come within a second."""

    async def test(shared: Numbers, asked: list[int]) -> None:
        waiting = [asyncio.create_task(shared.latest()) for _ in range(3)]
        await asyncio.sleep(0)
        shared.take({"a": 1})
        assert await asyncio.gather(*waiting) == [{"a": 1}] * 3
        assert await shared.latest() == {"a": 1}
        assert asked == [1]

    _run(test)


def test_old_numbers_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks later than a second gets newer ones."""

    async def test(shared: Numbers, asked: list[int]) -> None:
        shared.take({"a": 1})
        waiting = asyncio.create_task(shared.latest(fresh_seconds=0))
        await asyncio.sleep(0)
        shared.take({"a": 2})
        assert await waiting == {"a": 2}
        assert asked == [1]

    _run(test)


def test_a_daemon_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is silent; whoever asks then hears it at once, and all is well when it answers again."""
    monkeypatch.setattr(numbers, "SILENT_SECONDS", 0.05)

    async def test(shared: Numbers, asked: list[int]) -> None:
        for _ in range(2):
            with pytest.raises(SilentError, match="does not answer"):
                await shared.latest()
        shared.take({"a": 1})
        assert await shared.latest() == {"a": 1}
        assert len(asked) >= 2

    _run(test)
