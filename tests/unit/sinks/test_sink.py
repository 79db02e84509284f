"""agentd.sinks.sink"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agentd.core.batch import Batch
from agentd.core.tree.process import Applied, Image
from agentd.core.wire.events import Lost
from agentd.errors import AgentdError
from agentd.sinks.sink import Sink
from agentd.sinks.writer import SinkFailedError
from tests.channel import NEVER, FakeChannel
from tests.records import exited

IMAGE = Image(b"true", b"", b"", 0)


def _encode(batch: Batch) -> list[bytes]:
    """A line an entry: its number, or what is missing."""
    lines = []
    for number, entry in enumerate(batch.entries, batch.first_sequence):
        if isinstance(entry, Lost):
            lines.append(f"lost {entry.missing} of {entry.cpu} from {entry.seq} {entry.stage}\n")
        else:
            lines.append(f"{number}\n")
    return ["".join(lines).encode()]


def _event(number: int) -> Applied:
    event = exited(seq=number, boottime_ns=1000 + number, cpu=number % 2)
    return Applied(event, IMAGE, None, changed=False)


def _batch(first: int, count: int) -> Batch:
    return Batch([_event(first + i) for i in range(count)], first, 0)


def _text(first: int, end: int) -> str:
    return "".join(f"{number}\n" for number in range(first, end))


def run(test: Callable[[FakeChannel, Sink], None]) -> None:
    """A test inside a loop."""

    async def main() -> None:
        channel = FakeChannel()
        sink = Sink("stdout", _encode, channel, NEVER)
        try:
            test(channel, sink)
        finally:
            sink.close()

    asyncio.run(main())


def test_what_is_taken_is_finished() -> None:
    """A channel with room takes batch after batch; nothing waits."""

    def test(channel: FakeChannel, sink: Sink) -> None:
        sink.begin("HEAD\n")
        sink.write(_batch(0, 3))
        sink.write(_batch(3, 2))
        assert channel.text == "HEAD\n" + _text(0, 5)
        assert (sink.written_total, sink.queued, sink.finished_below) == (5, 0, 5)
        assert not sink.behind

    run(test)


def test_what_waits_leaves_when_there_is_room() -> None:
    """Batches that a channel does not take are sent later, whole and in order."""

    async def main() -> None:
        channel = FakeChannel(room=3)
        sink = Sink("stdout", _encode, channel, NEVER)
        for first in (0, 4, 8):
            sink.write(_batch(first, 4))
        assert (sink.written_total, sink.queued, sink.finished_below) == (1, 11, 0)
        channel.open(room=6)
        while sink.queued == 11:
            await asyncio.sleep(0)
        assert (sink.written_total, sink.queued, sink.finished_below) == (4, 8, 4)
        channel.room = 1000
        while sink.behind:
            await asyncio.sleep(0)
        assert channel.text == _text(0, 12)
        assert (sink.written_total, sink.dropped_total, sink.finished_below) == (12, 0, 12)
        sink.close()

    asyncio.run(main())


def test_a_drop_is_told_at_its_place() -> None:
    """The oldest that wait are dropped, but for what was begun; one line a CPU says so."""

    async def main() -> None:
        channel = FakeChannel(room=2)
        sink = Sink("stdout", _encode, channel, NEVER)
        for first in (0, 4, 8, 12):
            sink.write(_batch(first, 4))
        sink.drop_below(8, 0)
        assert sink.finished_below == 8
        sink.drop_below(12, 0)
        assert (sink.dropped_total, sink.finished_below, sink.queued) == (8, 12, 3 + 4)
        spans = {cpu: span[:2] for cpu, span in sink.untold().spans.items()}
        assert spans == {0: (0, 6), 1: (1, 6)}  # what was begun may be cut off, too
        channel.open()
        while sink.behind:
            await asyncio.sleep(0)
        losses = "lost 4 of 0 from 4 sink\nlost 4 of 1 from 5 sink\n"
        assert channel.text == _text(0, 4) + losses + _text(12, 16)
        assert sink.untold().spans == {}
        assert (sink.written_total, sink.dropped_total, sink.queued) == (8, 8, 0)
        sink.close()

    asyncio.run(main())


def test_what_is_let_go_is_untold_until_it_is_written() -> None:
    """Nobody waits for it any more, and nothing is dropped."""

    async def main() -> None:
        channel = FakeChannel(room=2)
        sink = Sink("stdout", _encode, channel, NEVER)
        sink.write(_batch(0, 4))
        sink.write(_batch(4, 4))
        sink.let_go(4)
        assert sink.finished_below == 4
        assert sink.untold().total == 4
        sink.let_go(99)
        assert (sink.finished_below, sink.untold().total, sink.dropped_total) == (8, 8, 0)
        channel.open()
        while sink.behind:
            await asyncio.sleep(0)
        assert channel.text == _text(0, 8)
        assert sink.untold().spans == {}
        sink.close()

    asyncio.run(main())


def test_a_loss_that_is_dropped_is_still_told() -> None:
    """What a dropped lost event said is part of what is told in its place."""

    def test(channel: FakeChannel, sink: Sink) -> None:
        channel.room = 1
        sink.write(_batch(0, 1))
        sink.write(Batch([Lost(50, 7, 0, 30, "reserve", None, 40), _event(2)], 1, 0))
        sink.drop_below(3, 0)
        assert sink.untold().total == 1 + 30 + 1

    run(test)


def test_a_channel_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile events wait, and what is too much is dropped; both ends of that are told, once."""
    monkeypatch.setattr("agentd.sinks.sink._AGAIN_SECONDS", 0.001)
    told: list[tuple[str, AgentdError | None]] = []

    async def main() -> None:
        channel = FakeChannel()
        channel.error = full = SinkFailedError("no space left")
        sink = Sink("stdout", _encode, channel, lambda *heard: told.append(heard))
        sink.write(_batch(0, 2))
        sink.write(_batch(2, 2))
        sink.write(_batch(4, 2))
        sink.drop_below(4, 0)
        await asyncio.sleep(0.01)
        assert told == [("stdout", full)]
        assert (sink.failure, sink.queued, sink.dropped_total, sink.finished_below) == (
            full, 4, 2, 4,
        )  # fmt: skip
        assert not sink.behind  # nobody is to wait for it
        channel.error = None
        while sink.failure is not None:
            await asyncio.sleep(0.001)
        losses = "lost 1 of 0 from 2 sink\nlost 1 of 1 from 3 sink\n"
        assert channel.text == _text(0, 2) + losses + _text(4, 6)
        assert told[1:] == [("stdout", None)]
        assert (sink.accepted_total, sink.written_total) == (6, 4)
        sink.close()

    asyncio.run(main())


def test_a_payload_that_was_cut_off_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full in the middle of a line has the rest of it when there is room."""
    monkeypatch.setattr("agentd.sinks.sink._AGAIN_SECONDS", 0.001)

    class Disk(FakeChannel):
        """Fails where a pipe would block."""

        def send(self, payload: memoryview) -> int:
            """As much as there is room for."""
            try:
                return super().send(payload)
            except BlockingIOError:
                raise SinkFailedError("no space left") from None

    async def main() -> None:
        disk = Disk(room=5)
        sink = Sink("stdout", _encode, disk, lambda *heard: None)
        sink.write(_batch(10, 4))
        assert disk.text == "10\n11"
        disk.room = 1000
        while sink.failure is not None:
            await asyncio.sleep(0.001)
        assert disk.text == _text(10, 14)
        sink.close()

    asyncio.run(main())


def test_the_queue_has_a_bound_of_its_own() -> None:
    """Where the kernel's buffer would hold more than memory should, the oldest are dropped."""

    async def main() -> None:
        channel = FakeChannel(room=0)
        sink = Sink("stdout", _encode, channel, NEVER, capacity_bytes=100)
        for first in range(10, 90, 2):
            sink.write(_batch(first, 2))
            assert sink.queued_bytes <= 100 + 50  # what is told in their place
        assert sink.dropped_total > 40
        assert 12 < sink.finished_below < 90
        assert (sink.queued + sink.dropped_total, sink.written_total) == (80, 0)
        channel.open()
        while sink.behind:
            await asyncio.sleep(0)
        assert sink.queued_bytes == 0
        assert channel.text.startswith("10\n11\nlost ")
        assert channel.text.endswith("88\n89\n")
        told = [int(line.split()[1]) for line in channel.text.splitlines() if "lost" in line]
        assert sum(told) == sink.dropped_total
        sink.close()

    asyncio.run(main())


def _took_over(sink: Sink, form: str) -> tuple[FakeChannel, Sink]:
    """A sink that writes what that one had not, before what is new."""
    channel = FakeChannel()
    successor = Sink("stdout", _encode, channel, NEVER, form=form)
    successor.take_over(sink.leave(), 0)
    return channel, successor


def test_what_waits_at_a_planned_end_is_written_by_the_next() -> None:
    """A line that was begun is written as a whole; a heading is each process's own."""

    def test(channel: FakeChannel, sink: Sink) -> None:
        channel.room = len("0\n1\n1")
        sink.write(_batch(0, 2))
        sink.write(_batch(2, 8))
        sink.write(_batch(10, 2))
        assert channel.text == "0\n1\n2\n"[: len(channel.text)]
        other, successor = _took_over(sink, "")
        successor.write(_batch(0, 2))
        assert other.text == _text(2, 12) + _text(0, 2)
        assert (successor.accepted_total, successor.written_total) == (12, 12)
        assert not sink.behind
        successor.close()

    run(test)


def test_a_heading_that_waits_is_not_left() -> None:
    """Who comes next begins with its own."""

    def test(channel: FakeChannel, sink: Sink) -> None:
        channel.room = 0
        sink.begin("HEAD\n")
        sink.write(_batch(0, 1))
        assert [*sink.leave().payloads] == [b"0\n"]

    run(test)


def test_what_is_written_in_another_form_is_lost() -> None:
    """It is reported as such, by CPU."""

    def test(channel: FakeChannel, sink: Sink) -> None:
        channel.room = 0
        sink.write(_batch(0, 4))
        other, successor = _took_over(sink, "text")
        assert other.text == "lost 2 of 0 from 0 sink\nlost 2 of 1 from 1 sink\n"
        successor.close()

    run(test)


def test_what_was_taken_over_holds_back_what_is_finished() -> None:
    """Until it is written nothing is: a successor would not have it any more."""

    def test(channel: FakeChannel, sink: Sink) -> None:
        channel.room = 0
        sink.write(_batch(0, 3))
        left = sink.leave()
        stuck = FakeChannel(room=0)
        successor = Sink("stdout", _encode, stuck, NEVER)
        successor.take_over(left, 0)
        successor.write(_batch(0, 2))
        assert successor.finished_below == -1
        assert [*successor.leave().payloads] == [b"0\n1\n2\n", b"0\n1\n"]
        successor.close()

    run(test)
