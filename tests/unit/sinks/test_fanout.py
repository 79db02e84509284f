"""agentd.sinks.fanout"""

from __future__ import annotations

import asyncio

from agentd.core.batch import Batch
from agentd.core.wire.events import Lost
from agentd.sinks.fanout import Fanout
from agentd.sinks.sink import Sink
from tests.channel import NEVER, FakeChannel

BATCH = Batch([Lost(1, 1, 0, 3, "reserve", None, 0)], 0, 0)


def _encode(batch: Batch) -> list[bytes]:
    return [b"line\n" * len(batch.entries)]


def test_without_sinks_all_is_finished() -> None:
    """Nothing is awaited where nothing is written."""
    fanout = Fanout([])
    fanout.write(BATCH)
    assert (fanout.finished_below, fanout.behind, fanout.not_written) == (1, False, 0)
    assert fanout.untold().spans == {}


def test_the_slowest_says_how_far_it_is_and_holds_nobody_up() -> None:
    """A sink that is stuck keeps the room of its events; the other writes on."""

    async def main() -> None:
        fast, slow = FakeChannel(), FakeChannel(room=0)
        fanout = Fanout([Sink("slow", _encode, slow, NEVER), Sink("fast", _encode, fast, NEVER)])
        fanout.write(BATCH)
        fanout.write(Batch(BATCH.entries, 1, 0))
        assert fast.text == "line\nline\n"
        assert (fanout.finished_below, fanout.behind, fanout.not_written) == (0, True, 2)
        fanout.drop_below(2, 0)
        dropped = [sink.dropped_total for sink in fanout.sinks]
        assert (dropped, fanout.finished_below) == ([1, 0], 2)
        assert fanout.untold().total == 6  # what has begun, and what was dropped
        fanout.close()

    asyncio.run(main())
