"""agentd.kernel.ringbuf, over rings made of plain memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.wire.delivery import Delivery
from agentd.kernel.ringbuf import RingReader

SIZE = 256
BUSY, DISCARDED = 1 << 31, 1 << 30
EVERYTHING = 1 << 30


class FakeRing:
    """A ring that a test writes as the kernel would."""

    def __init__(self, start: int = 0) -> None:
        self.consumer = memoryview(bytearray(8)).cast("Q")
        self.producer = memoryview(bytearray(8)).cast("Q")
        self.data = bytearray(SIZE)
        self.size_bytes = SIZE
        self.consumer[0] = self.producer[0] = start
        self.headers: list[int] = []

    @contextmanager
    def window(self, start: int, end: int) -> Iterator[memoryview]:
        """The kernel gives the data twice in a row."""
        twice = memoryview(self.data * 2)
        yield twice[start % SIZE : start % SIZE + end - start]

    def put(self, payload: bytes, flags: int = 0) -> bool:
        """Reserve and fill a record; False where there is no room."""
        needed = (len(payload) + 8 + 7) & ~7
        if self.producer[0] + needed - self.consumer[0] > SIZE:
            return False
        raw = struct.pack("=II", len(payload) | flags, 0) + payload
        for i, byte in enumerate(raw):
            self.data[(self.producer[0] + i) % SIZE] = byte
        self.headers.append(self.producer[0])
        self.producer[0] += needed
        return True

    def submit(self, position: int) -> None:
        """Clear the busy bit of the record at a position."""
        (header,) = struct.unpack_from("=I", self.data, position % SIZE)
        struct.pack_into("=I", self.data, position % SIZE, header & ~BUSY)


def _payloads(delivery: Delivery) -> list[bytes]:
    return [delivery.data[offset : offset + length] for offset, length in delivery.spans]


records = st.tuples(st.binary(max_size=60), st.sampled_from([0, 0, 0, DISCARDED]))


@given(
    st.integers(0, 3 * SIZE // 8).map(lambda n: n * 8),
    st.lists(st.lists(records, max_size=6), max_size=12),
    st.sampled_from([8, 40, 100, EVERYTHING]),
)
def test_every_record_once_in_order(
    start: int, rounds: list[list[tuple[bytes, int]]], limit: int
) -> None:
    """Records of any size, at any alignment, wrapped or not, come out once, in order, unchanged."""
    ring = FakeRing(start)
    reader = RingReader(ring)
    put, got = [], []
    for batch in rounds:
        for payload, flags in batch:
            if ring.put(payload, flags) and not flags:
                put.append(payload)
        got += _payloads(reader.drain(limit))
        reader.commit(1)
    while not (delivery := reader.drain(limit)).drained or delivery.spans:
        got += _payloads(delivery)
        reader.commit(1)
    reader.commit(1)
    assert got == put
    assert ring.consumer[0] == ring.producer[0]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.data())
def test_stops_at_a_busy_record(payloads: list[bytes], data: st.DataObject) -> None:
    """Nothing behind a record that is not submitted is read, and the drain is not complete."""
    ring = FakeRing()
    reader = RingReader(ring)
    busy = data.draw(st.integers(0, len(payloads) - 1))
    for i, payload in enumerate(payloads):
        assert ring.put(payload, BUSY if i == busy else 0)
    first = reader.drain(EVERYTHING)
    assert _payloads(first) == payloads[:busy]
    assert not first.drained
    ring.submit(ring.headers[busy])
    second = reader.drain(EVERYTHING)
    assert _payloads(second) == payloads[busy:]
    assert second.drained


def test_room_is_given_back_by_commit_only() -> None:
    """What was drained stays the reader's until it commits."""
    ring = FakeRing()
    reader = RingReader(ring)
    ring.put(b"x" * 16)
    reader.drain(EVERYTHING)
    assert (ring.consumer[0], reader.used_bytes) == (0, 24)
    reader.commit(1)
    assert (ring.consumer[0], reader.used_bytes) == (24, 0)


def test_a_new_reader_goes_on_at_the_consumer_position() -> None:
    """A reader that takes over a ring begins where the last commit was."""
    ring = FakeRing()
    first = RingReader(ring)
    ring.put(b"one")
    first.drain(EVERYTHING)
    first.commit(1)
    ring.put(b"two")
    assert _payloads(RingReader(ring).drain(EVERYTHING)) == [b"two"]


def test_a_limit_leaves_the_rest_for_the_next_round() -> None:
    """A limited drain is not complete."""
    ring = FakeRing()
    reader = RingReader(ring)
    for payload in (b"a" * 16, b"b" * 16, b"c" * 16):
        ring.put(payload)
    first = reader.drain(30)
    assert _payloads(first) == [b"a" * 16, b"b" * 16]
    assert not first.drained
    assert _payloads(reader.drain(30)) == [b"c" * 16]
