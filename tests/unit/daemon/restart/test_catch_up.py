"""agentd.daemon.restart.catch_up"""

from __future__ import annotations

import asyncio

import pytest

from agentd.core.restart.takeover import Inheritance
from agentd.daemon.restart.catch_up import settle
from agentd.host import clock
from agentd.runtime.stopping import unless
from tests.records import fork
from tests.rounds import Harness, stop, until


def _settled(harness: Harness) -> asyncio.Task[bool]:
    return asyncio.create_task(settle(harness.pipeline, harness.rounds, harness.outlets.let_go))


def test_new_programs_wait_for_what_was_taken_before() -> None:
    """All until then is written, and the ledger says so; nothing has to happen for it."""

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put(2)
        before_ns = clock.boottime_ns()
        await _settled(harness)
        assert harness.out() == [0, 1]
        assert harness.kept[-1].next_seq[0] == 2
        assert harness.kept[-1].watermark_ns >= before_ns
        noted = len(harness.kept)
        harness.transport.put()
        await until(lambda: len(harness.kept) > noted)
        await stop(task)
        assert not harness.rounds.noting

    asyncio.run(main())


def test_those_that_take_over_wait_for_what_others_left() -> None:
    """Their own waits meanwhile, and stays in the buffer."""

    async def main() -> None:
        harness = Harness()
        cut_ns = clock.boottime_ns()
        left = fork(boottime_ns=cut_ns - 5, seq=7, tgid=99)
        harness.pipeline.inherit(Inheritance(cut_ns, [left]))
        harness.transport.put(2)
        task = asyncio.create_task(harness.rounds.run())
        await _settled(harness)
        assert harness.out() == [0]
        assert harness.kept[-1].watermark_ns == cut_ns
        assert harness.kept[-1].next_seq[0] == 0
        assert harness.transport.commits == 0
        await stop(task)

    asyncio.run(main())


def test_a_sink_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not written is written down as untold."""
    monkeypatch.setattr("agentd.daemon.restart.catch_up._PATIENCE_SECONDS", 0.5)

    async def main() -> None:
        harness = Harness()
        harness.transport.put(3)
        harness.outlets.stuck_at = 1
        task = asyncio.create_task(harness.rounds.run())
        await _settled(harness)
        await until(lambda: harness.kept[-1].next_seq[0] == 3)
        assert [row[0] for row in harness.kept[-1].untold] == [1, 2]
        await stop(task)

    asyncio.run(main())


def test_a_stop_ends_the_wait_for_a_sink() -> None:
    """At once, and nobody is let go: what waits is left to the next process."""

    async def main() -> None:
        harness = Harness()
        harness.transport.put(3)
        harness.outlets.stuck_at = 1
        task = asyncio.create_task(harness.rounds.run())
        stopping = asyncio.Event()
        settling = settle(harness.pipeline, harness.rounds, harness.outlets.let_go)
        waiting = asyncio.create_task(unless(stopping, settling))
        await until(lambda: harness.out() == [0, 1, 2])
        assert not waiting.done()
        stopping.set()
        assert await waiting is None
        assert not harness.rounds.noting
        assert harness.outlets.untold().spans == {}
        await stop(task)

    asyncio.run(main())
