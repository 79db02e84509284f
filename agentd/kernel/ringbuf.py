"""The BPF ring buffer, drained by mmap without a syscall.

Layout (kernel/bpf/ringbuf.c): a page with the consumer position, which user space writes; a page
with the producer position; then the data. Each record has an 8-byte header, its length with two
flag bits, and starts at a multiple of 8. Positions only grow; the place in the data is the
position modulo the size.

The kernel maps the data twice so that a record at the end is contiguous. Both copies would count
as resident memory of this process, so only one is mapped here and the bytes of a round are put
together from two slices when they wrap.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from typing import ClassVar, Protocol

from agentd.core.decode import Span
from agentd.core.pipeline import Delivery
from agentd.core.stages import STAGE_RESERVE
from agentd.kernel.barrier import Barrier

_BUSY = 1 << 31  # BPF_RINGBUF_BUSY_BIT: reserved, not yet submitted
_DISCARDED = 1 << 30  # BPF_RINGBUF_DISCARD_BIT
_LENGTH_MASK = _DISCARDED - 1
_HEADER_BYTES = 8  # BPF_RINGBUF_HDR_SZ


class Memory(Protocol):
    """The three mapped areas of a ring, as words and bytes."""

    consumer: memoryview
    """One writable 64-bit word."""
    producer: memoryview
    """One 64-bit word."""
    data: memoryview
    """The data area as bytes."""


class RingMemory:
    """The areas of the ring behind a map fd."""

    def __init__(self, map_fd: int, size_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._writable = mmap.mmap(map_fd, page)
        self._readable = mmap.mmap(
            map_fd, page + size_bytes, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=page
        )
        self.consumer = memoryview(self._writable)[:8].cast("Q")
        self.producer = memoryview(self._readable)[:8].cast("Q")
        self.data = memoryview(self._readable)[page:]

    def close(self) -> None:
        """Unmap."""
        for view in (self.consumer, self.producer, self.data):
            view.release()
        self._writable.close()
        self._readable.close()


class RingReader:
    """Drains a ring's memory. ``commit`` gives the room of what was drained back to the kernel."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._words = memory.data.cast("I")
        self._size_bytes = len(memory.data)
        self._position = int(memory.consumer[0])
        self._ends: deque[int] = deque()
        self._barrier = Barrier()

    @property
    def size_bytes(self) -> int:
        """How much fits into the ring."""
        return self._size_bytes

    @property
    def used_bytes(self) -> int:
        """Bytes between the consumer and the producer position."""
        return int(self._memory.producer[0]) - int(self._memory.consumer[0])

    @property
    def unread_bytes(self) -> int:
        """Bytes that no drain has brought yet."""
        return int(self._memory.producer[0]) - self._position

    @property
    def filled(self) -> float:
        """Which part of the ring is taken, from 0 to 1."""
        return self.used_bytes / self._size_bytes

    def drain(self, limit_bytes: int) -> Delivery:
        """Copy what has been submitted, up to about ``limit_bytes``, in the ring's order."""
        start = self._position
        end = int(self._memory.producer[0])
        spans, position = self._committed(start, min(end, start + limit_bytes))
        self._barrier.full()
        data = self._copy(start, position)
        self._position = position
        self._ends.append(position)
        return Delivery(data, spans, drained=position >= end)

    def commit(self, drains: int) -> None:
        """Let the kernel reuse what so many drains brought, the oldest first."""
        for _ in range(drains):
            self._memory.consumer[0] = self._ends.popleft()

    def _committed(self, start: int, end: int) -> tuple[list[Span], int]:
        """Where the records lie, relative to ``start``, up to the first that is not submitted."""
        words, mask = self._words, self._size_bytes - 1
        spans: list[Span] = []
        position = start
        while position < end:
            header = words[(position & mask) >> 2]
            if header & _BUSY:
                break
            length = header & _LENGTH_MASK
            if not header & _DISCARDED:
                spans.append((position - start + _HEADER_BYTES, length))
            position += (length + _HEADER_BYTES + 7) & ~7
        return spans, position

    def _copy(self, start: int, end: int) -> bytes:
        data, mask = self._memory.data, self._size_bytes - 1
        first, last = start & mask, end & mask
        if end - start and first >= last:
            return b"".join((data[first:], data[:last]))
        return bytes(data[first:last])


class Ringbuf(RingReader):
    """The ring behind a map fd, which becomes readable when there is something to drain."""

    def __init__(self, map_fd: int, size_bytes: int) -> None:
        self._map_fd = map_fd
        self._ring = RingMemory(map_fd, size_bytes)
        super().__init__(self._ring)

    room_stage: ClassVar[str] = STAGE_RESERVE
    lost_samples: ClassVar[int] = 0
    """The kernel itself tells of none."""
    survives_its_reader: ClassVar[bool] = True
    """What nobody has read waits for the next reader."""
    poll_seconds: ClassVar[None] = None
    """The first record after an empty ring makes the fd readable, always."""

    def fileno(self) -> int:
        """The fd to poll."""
        return self._map_fd

    def close(self) -> None:
        """Unmap and let go of the map."""
        self._words.release()
        self._ring.close()
        os.close(self._map_fd)
