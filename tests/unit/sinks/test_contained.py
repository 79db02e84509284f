"""agentd.sinks.contained"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agentd.core.batch import Batch
from agentd.core.loss.stages import STAGE_SINK
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Image
from agentd.core.tree.reconcile import Inferred
from agentd.core.undelivered import loss_of
from agentd.core.wire.events import NO_CPU, Lost
from agentd.errors import AgentdError
from agentd.front.subscribers import Follower
from agentd.sinks.chunk import datagram, lines
from agentd.sinks.contained import ContainedEncoder, EncodeError
from agentd.sinks.sink import Sink
from tests.channel import FakeChannel
from tests.records import FORK, exited, lost

BAD_SEQS = {2, 5}
IMAGE = Image(b"true", b"", b"", 0)
INFERRED = Inferred(99, FORK, (7, 8), (1, 5), IMAGE, None, None)


def _event(seq: int) -> Applied:
    return Applied(exited(seq=seq, boottime_ns=1000 + seq), IMAGE, None, changed=False)


def _line(entry: Entry, number: int) -> bytes:
    if isinstance(entry, Lost):
        return f"{number} lost {entry.missing} from {entry.seq} {entry.stage}\n".encode()
    assert isinstance(entry, Applied)
    if entry.event.seq in BAD_SEQS:
        raise KeyError("cpu")
    return f"{number} seq {entry.event.seq}\n".encode()


def _stream(batch: Batch) -> list[bytes]:
    numbered = enumerate(batch.entries, batch.first_sequence)
    return [b"".join(_line(entry, number) for number, entry in numbered)]


def _datagrams(batch: Batch) -> list[bytes]:
    numbered = enumerate(batch.entries, batch.first_sequence)
    return [_line(entry, number) for number, entry in numbered]


def _hopeless(batch: Batch) -> list[bytes]:
    raise RecursionError


def _encoder(
    encode: Callable[[Batch], list[bytes]] = _stream,
) -> tuple[ContainedEncoder, list[EncodeError]]:
    errors: list[EncodeError] = []
    return ContainedEncoder(encode, errors.append), errors


def test_one_entry_is_lost_alone() -> None:
    """The entries around a bad one leave as ever; a ``lost`` line has its place and its number."""
    encoder, _ = _encoder()
    data = encoder.encode(Batch([_event(seq) for seq in range(1, 7)], 10, 0))
    assert b"".join(data).decode().splitlines() == [
        "10 seq 1", "11 lost 1 from 2 sink", "12 seq 3",
        "13 seq 4", "14 lost 1 from 5 sink", "15 seq 6",
    ]  # fmt: skip
    assert (encoder.failed_total, encoder.silent_total) == (2, 0)


def test_failures_are_reported_once_in_a_while() -> None:
    """Of many failures one is reported, with its cause, what it befell, and that it is a bug."""
    encoder, errors = _encoder()
    for _ in range(1000):
        encoder.encode(Batch([_event(2)], 0, 0))
    (error,) = errors
    assert error.message == (
        "cannot encode an entry, reported it as lost (exit): KeyError: 'cpu';"
        " this is a bug of agentd"
    )
    assert isinstance(error.__cause__, KeyError)
    assert encoder.failed_total == 1000


def test_an_encoder_that_fails_on_everything() -> None:
    """Nothing leaves, nothing is raised, and all of it is counted."""
    encoder, _ = _encoder(_hopeless)
    assert encoder.encode(Batch([_event(1), _event(3)], 0, 0)) == []
    assert (encoder.failed_total, encoder.silent_total) == (2, 2)


@pytest.mark.parametrize("entry", [_event(3), lost(9, 4), INFERRED], ids=str)
def test_each_kind_has_its_loss(entry: Entry) -> None:
    """An event and an inferred one count one, a loss what it counts."""
    loss = loss_of(entry)
    assert loss.stage == STAGE_SINK
    assert loss.missing == (entry.missing if isinstance(entry, Lost) else 1)
    assert (loss.cpu == NO_CPU) == isinstance(entry, Inferred)


@pytest.mark.parametrize("room", [0, 1 << 20], ids=["stuck", "open"])
@pytest.mark.parametrize("kind", ["stream", "datagrams", "hopeless"])
def test_a_sinks_account_stays_exact(room: int, kind: str) -> None:
    """Accepted events are written, wait or are dropped, also where an encoder fails on some."""

    async def main() -> None:
        encode, events_in = {
            "stream": (_stream, lines),
            "datagrams": (_datagrams, datagram),
            "hopeless": (_hopeless, lines),
        }[kind]
        told: list[AgentdError | None] = []
        channel = FakeChannel(room)
        sink = Sink("stdout", encode, channel, lambda _, error: told.append(error), events_in)
        sink.write(Batch([_event(seq) for seq in range(8)], 0, 0))
        dropped = 8 if kind == "hopeless" else 0
        assert (sink.accepted_total, sink.dropped_total) == (8, dropped)
        assert sink.written_total == (8 - dropped if room else 0)
        assert sink.queued == (0 if room else 8 - dropped)
        assert sink.encode_failures_total == (8 if dropped else 2)
        assert sink.finished_below == (8 if room or dropped else 0)
        assert len(told) == 1
        sink.close()

    asyncio.run(main())


def test_an_entry_that_a_filter_fails_on_passes() -> None:
    """What cannot be decided is written; the failure is reported."""

    async def main() -> None:
        def wanted(entry: Entry, number: int) -> Entry | None:
            raise OverflowError

        told: list[AgentdError | None] = []
        channel = FakeChannel()
        sink = Sink("stdout", _stream, channel, lambda _, error: told.append(error), wanted=wanted)
        sink.write(Batch([_event(1)], 0, 0))
        assert channel.text == "0 seq 1\n"
        assert len(told) == 1
        sink.close()

    asyncio.run(main())


class _Renderer:
    """Fails as ``_line`` does."""

    def render(self, batch: Batch) -> bytes:
        """Likewise."""
        return b"".join(_stream(batch))


def test_a_follower_loses_one_entry() -> None:
    """A follower's renderer that fails does not end the daemon either."""
    follower = Follower(lambda facts: True, _Renderer())
    for seq in (1, 2, 3):
        follower.take(_event(seq), seq, 0)
    assert b"".join(follower._waiting).decode().splitlines() == [
        "1 seq 1", "2 lost 1 from 2 sink", "3 seq 3",
    ]  # fmt: skip
