"""agentd.daemon.loop"""

from __future__ import annotations

import asyncio
import itertools

import pytest

from agentd.core.restart.takeover import Inheritance
from agentd.core.tree.process import Applied
from agentd.host import clock
from tests.rounds import Harness, round_after, stop, until


def test_events_come_out_in_sequence() -> None:
    """What the kernel submits goes out, in rounds, numbered without a gap, and is committed."""

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        for count in (1, 3, 2):
            harness.transport.put(count)
            await asyncio.sleep(0.005)
        await harness.until(6)
        await stop(task)
        assert harness.out() == list(range(6))
        assert harness.rounds.total >= 6
        assert harness.transport.commits == harness.rounds.total
        assert harness.rounds.latency.count == 6

    asyncio.run(main())


def test_a_clock_that_is_set_changes_nothing_but_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Years forth and back between rounds: order, account, keys and tree are those of boot time."""
    offsets = itertools.cycle([10**18, 3 * 10**18, 0, -(10**15)])
    monkeypatch.setattr(clock, "wall_offset_ns", lambda: next(offsets))

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        for count in range(1, 9):
            harness.transport.put()
            await harness.until(count)
        await stop(task)
        batches = harness.outlets.batches
        assert len({batch.wall_offset_ns for batch in batches}) > 1
        entries = [entry for batch in batches for entry in batch.entries]
        stamps = [entry.event.boottime_ns for entry in entries if isinstance(entry, Applied)]
        assert stamps == sorted(stamps)
        queue, living = harness.pipeline.reorderer, harness.pipeline.tree.living
        assert (queue.late_total, queue.forced_total, harness.pipeline.imbalance) == (0, 0, 0)
        assert [process.key[0] for process in living.values()] == list(range(2, 10))

    asyncio.run(main())


def test_held_events_need_no_other_to_leave() -> None:
    """An event within the slack goes out in a later round of its own."""

    async def main() -> None:
        harness = Harness(slack_ns=5_000_000)
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put()
        await harness.until(1)
        await stop(task)

    asyncio.run(main())


def test_an_idle_transport_has_no_rounds() -> None:
    """While nothing is submitted, nothing runs."""

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        await asyncio.sleep(0.02)
        await stop(task)
        assert harness.rounds.total == 0

    asyncio.run(main())


def test_no_round_looks_for_what_the_kernel_would_tell_of() -> None:
    """One round for one event, and none behind it; but one for whoever asks for it."""

    async def main() -> None:
        harness = Harness()
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put()
        await harness.until(1)
        await asyncio.sleep(0.02)
        assert harness.rounds.total == 1
        harness.rounds.wake()
        await until(lambda: harness.rounds.total >= 2)
        await stop(task)

    asyncio.run(main())


def test_a_round_looks_again_where_the_kernel_does_not_tell_of_everything() -> None:
    """As behind perf buffers: for as long as something is found."""

    async def main() -> None:
        harness = Harness()
        harness.transport.poll_seconds = 1000.0
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put()
        await until(lambda: harness.rounds.total >= 2)
        await asyncio.sleep(0.02)
        assert harness.rounds.total == 2
        await stop(task)

    asyncio.run(main())


def test_finish_takes_all_there_is() -> None:
    """The last rounds drain the transport and hold nothing back."""

    async def main() -> None:
        harness = Harness(slack_ns=10**18)
        harness.transport.put(5)
        await harness.rounds.finish()
        assert harness.out() == list(range(5))

    asyncio.run(main())


def test_room_is_given_back_when_the_sinks_have_written() -> None:
    """What a sink has not written stays in the buffer, and rounds go on meanwhile."""

    async def main() -> None:
        harness = Harness()
        harness.outlets.stuck_at = 2
        task = asyncio.create_task(harness.rounds.run())
        for count in (2, 5):
            harness.transport.put(count - len(harness.out()))
            await harness.until(count)
        await asyncio.sleep(0.01)
        assert harness.transport.commits == 2
        assert harness.kept[-1].next_seq[0] == 2
        harness.outlets.stuck_at = None
        await until(lambda: harness.transport.commits >= 5)
        await stop(task)
        assert harness.kept[-1].next_seq[0] == 5
        assert harness.kept[-1].untold == ()

    asyncio.run(main())


def test_how_far_the_stream_is_can_be_noted() -> None:
    """Once the sinks are as far; no room is given back for it, and none while a loss waits."""

    async def main() -> None:
        harness = Harness()
        harness.pipeline.inherit(Inheritance(cut_ns := clock.boottime_ns()))
        harness.rounds.noting = True
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put(2)
        await until(lambda: harness.rounds.kept_ns == cut_ns)
        assert (harness.out(), harness.transport.commits) == ([], 0)
        assert harness.kept[-1].next_seq[0] == 0
        harness.pipeline.skip((1, 0, 0), 5, clock.boottime_ns())
        noted = len(harness.kept)
        await round_after(harness.rounds)
        assert len(harness.kept) == noted
        harness.outlets.stuck_at = 0
        harness.pipeline.overlap.own_waits = False
        await harness.until(3)
        await round_after(harness.rounds)
        assert harness.rounds.kept_ns == cut_ns
        harness.outlets.stuck_at = None
        await until(lambda: harness.kept[-1].next_seq[0] == 2)
        await stop(task)

    asyncio.run(main())


def test_our_own_waits_no_longer_than_there_is_room() -> None:
    """What other programs left has time until the buffer is three quarters full."""

    async def main() -> None:
        harness = Harness()
        harness.pipeline.inherit(Inheritance(clock.boottime_ns()))
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put(2)
        await until(lambda: harness.rounds.total > 4)
        assert (harness.out(), harness.transport.commits) == ([], 0)
        harness.transport.filled = 0.8
        await harness.until(2)
        await stop(task)
        assert harness.transport.commits >= 2

    asyncio.run(main())


def test_a_sink_that_is_behind_drops_before_the_buffer_is_full() -> None:
    """With the buffer three quarters full the oldest are dropped, and that is written down."""

    async def main() -> None:
        harness = Harness()
        harness.outlets.stuck_at = 1
        task = asyncio.create_task(harness.rounds.run())
        harness.transport.put(3)
        await harness.until(3)
        assert harness.outlets.dropped_below == 0
        harness.transport.filled = 0.8
        harness.transport.put()
        await harness.until(4)
        assert harness.outlets.dropped_below == 4
        assert harness.kept[-1].next_seq[0] == 4
        assert [row[0] for row in harness.kept[-1].untold] == [1, 3]
        harness.transport.filled = 0.0
        harness.outlets.stuck_at = None
        harness.transport.put()
        await harness.until(5)
        await stop(task)
        assert harness.kept[-1].untold == ()

    asyncio.run(main())


def test_the_end_waits_for_the_sinks() -> None:
    """finish returns when all has been written."""

    async def main() -> None:
        harness = Harness()
        harness.outlets.stuck_at = 0
        harness.transport.put(4)
        task = asyncio.create_task(harness.rounds.finish())
        await asyncio.sleep(0.03)
        assert not task.done()
        assert harness.out() == list(range(4))
        harness.outlets.stuck_at = None
        async with asyncio.timeout(30):
            await task
        assert harness.transport.commits >= 4

    asyncio.run(main())
