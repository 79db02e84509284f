"""agentd.kernel.perfbuf, over buffers made of plain memory."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.wire.delivery import Delivery
from agentd.kernel.perfbuf import PerfReader

SIZE = 512
SAMPLE, LOST, OTHER = 9, 2, 5
EVERYTHING = 1 << 30
HEAD, TAIL = 1024 // 8, 1032 // 8


class FakeBuffer:
    """One CPU's buffer that a test writes as the kernel would."""

    def __init__(self, start: int = 0, size: int = SIZE) -> None:
        self.positions = memoryview(bytearray(4096)).cast("Q")
        self.data = memoryview(bytearray(size))
        self.positions[HEAD] = self.positions[TAIL] = start
        self.lost = 0
        self.lost_told = 0

    def put(self, payload: bytes) -> bool:
        """A sample, behind the account of what found no room before it (perf_output_begin)."""
        padding = -(4 + len(payload)) % 8
        body = struct.pack("=I", len(payload) + padding) + payload + bytes(padding)
        told = self._record(LOST, struct.pack("=QQ", 1, self.lost)) if self.lost else b""
        if not self._write(told + self._record(SAMPLE, body)):
            self.lost += 1
            return False
        self.lost_told += self.lost
        self.lost = 0
        return True

    def put_other(self) -> bool:
        """A record of a kind that nobody asked for."""
        return self._write(self._record(OTHER, bytes(16)))

    @staticmethod
    def _record(kind: int, body: bytes) -> bytes:
        return struct.pack("=IHH", kind, 0, 8 + len(body)) + body

    def _write(self, raw: bytes) -> bool:
        head = self.positions[HEAD]
        if head + len(raw) - self.positions[TAIL] > len(self.data):
            return False
        for i, byte in enumerate(raw):
            self.data[(head + i) % len(self.data)] = byte
        self.positions[HEAD] = head + len(raw)
        return True


def _payloads(delivery: Delivery) -> list[bytes]:
    return [delivery.data[offset : offset + length] for offset, length in delivery.spans]


def _padded(payload: bytes) -> bytes:
    return payload + bytes(-(4 + len(payload)) % 8)


steps = st.tuples(st.integers(0, 2), st.none() | st.binary(max_size=90))


@given(
    st.lists(st.integers(0, 3 * SIZE // 8).map(lambda n: n * 8), min_size=3, max_size=3),
    st.lists(st.lists(steps, max_size=10), max_size=10),
)
def test_every_sample_once_in_the_order_of_its_cpu(
    starts: list[int], rounds: list[list[tuple[int, bytes | None]]]
) -> None:
    """Samples of any size, at any alignment, wrapped or not, come out once, in order, unchanged.

    What found no room is what the reader says was lost; records of other kinds are passed over.
    """
    buffers = [FakeBuffer(start) for start in starts]
    reader = PerfReader(buffers)
    for batch in rounds:
        put: list[list[bytes]] = [[], [], []]
        for cpu, payload in batch:
            if payload is None:
                buffers[cpu].put_other()
            elif buffers[cpu].put(payload):
                put[cpu].append(_padded(payload))
        delivery = reader.drain(EVERYTHING)
        assert delivery.drained
        assert _payloads(delivery) == [*put[0], *put[1], *put[2]]
        assert reader.used_bytes > 0 or not (delivery.spans or delivery.data)
        reader.commit(1)
        assert (reader.used_bytes, reader.filled) == (0, 0.0)
    assert reader.lost_samples == sum(buffer.lost_told for buffer in buffers)


@given(st.lists(st.integers(0, 20_000), max_size=12), st.integers(0, 1 << 17))
def test_a_limit_leaves_whole_records_for_the_next_round(
    sizes: list[int], limit_bytes: int
) -> None:
    """A limited drain takes whole records only, and says that it is not complete."""
    buffer = FakeBuffer(start=8 * 12345, size=1 << 18)
    reader = PerfReader([buffer])
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    assert all(buffer.put(payload) for payload in payloads)
    got: list[bytes] = []
    for _ in range(len(payloads) + 1):
        delivery = reader.drain(limit_bytes)
        got += _payloads(delivery)
        assert delivery.drained == (len(got) == len(payloads))
        reader.commit(1)
    assert got == [_padded(payload) for payload in payloads]


def test_what_comes_during_a_drain_waits_for_the_next() -> None:
    """Room is given back by commit only, and only that of what was drained."""
    buffer = FakeBuffer()
    reader = PerfReader([buffer])
    buffer.put(b"x" * 20)
    reader.drain(EVERYTHING)
    assert (buffer.positions[TAIL], reader.used_bytes, reader.size_bytes) == (0, 32, SIZE)
    buffer.put(b"y" * 20)
    reader.commit(1)
    assert (buffer.positions[TAIL], reader.used_bytes) == (32, 32)
    assert _payloads(reader.drain(EVERYTHING)) == [b"y" * 20]


def test_a_new_reader_goes_on_at_the_tail() -> None:
    """A reader that takes over buffers begins where the last commit was."""
    buffer = FakeBuffer()
    first = PerfReader([buffer])
    buffer.put(b"1" * 12)
    first.drain(EVERYTHING)
    first.commit(1)
    buffer.put(b"2" * 12)
    assert _payloads(PerfReader([buffer]).drain(EVERYTHING)) == [b"2" * 12]


def test_filled_is_that_of_the_fullest() -> None:
    """One full buffer among empty ones is a full transport."""
    buffers = [FakeBuffer(), FakeBuffer(), FakeBuffer()]
    buffers[1].put(bytes(SIZE - 12))
    reader = PerfReader(buffers)
    assert reader.filled == 1.0
    assert reader.used_bytes == reader.size_bytes / 3


def test_a_record_that_cannot_be_is_a_bug() -> None:
    """A size below that of a header would never end; it stops the daemon."""
    buffer = FakeBuffer()
    buffer.put(b"")
    buffer.data[6:8] = b"\0\0"
    with pytest.raises(RuntimeError, match="perf record of 0 bytes"):
        PerfReader([buffer]).drain(EVERYTHING)
