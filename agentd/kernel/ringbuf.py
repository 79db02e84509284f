"""The BPF ring buffer, drained by mmap.

Layout (kernel/bpf/ringbuf.c): a page with the consumer position, which user space writes; a page
with the producer position; then the data. Each record has an 8-byte header, its length with two
flag bits, and starts at a multiple of 8. Positions only grow; the place in the data is the
position modulo the size.

The kernel gives the data twice in a row, so that what wraps is contiguous. All that is mapped of it
counts as resident memory of this process, so each round maps what it reads, and lets go of it.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Final, Protocol

from agentd.core.loss.stages import STAGE_RESERVE
from agentd.core.wire.decode import Span
from agentd.core.wire.delivery import Delivery
from agentd.kernel.memory_barrier import Barrier
from agentd.kernel.mmap_window import Window

_BUSY: Final = 1 << 31  # BPF_RINGBUF_BUSY_BIT: reserved, not yet submitted
_DISCARDED: Final = 1 << 30  # BPF_RINGBUF_DISCARD_BIT
_LENGTH_MASK: Final = (1 << 30) - 1
_HEADER_BYTES: Final = 8  # BPF_RINGBUF_HDR_SZ


class Memory(Protocol):
    """A ring, as words and bytes."""

    size_bytes: int
    consumer: memoryview
    """One writable 64-bit word."""
    producer: memoryview
    """One 64-bit word."""

    def window(self, start: int, end: int) -> AbstractContextManager[memoryview]:
        """The bytes from one position up to another, at most ``size_bytes`` further."""


class RingMemory:
    """The areas of the ring behind a map fd."""

    def __init__(self, map_fd: int, size_bytes: int) -> None:
        page = mmap.PAGESIZE
        self._writable = mmap.mmap(map_fd, page)
        self._writable.madvise(mmap.MADV_DONTFORK)  # a copy of this process could move it
        self._readable = mmap.mmap(
            map_fd, page, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=page
        )
        self._map_fd = map_fd
        self._window = Window(size_bytes + page)
        self.size_bytes = size_bytes
        self.consumer = memoryview(self._writable)[:8].cast("Q")
        self.producer = memoryview(self._readable)[:8].cast("Q")

    @contextmanager
    def window(self, start: int, end: int) -> Iterator[memoryview]:
        """As Memory has it. Maps it for as long as the block runs."""
        page = mmap.PAGESIZE
        place = start & (self.size_bytes - 1)
        before = place % page
        offset, size_bytes = 2 * page + place - before, before + end - start
        with self._window.onto(self._map_fd, offset, size_bytes) as pages, pages[before:] as view:
            yield view

    def close(self) -> None:
        """Unmap."""
        for view in (self.consumer, self.producer):
            view.release()
        self._writable.close()
        self._readable.close()
        self._window.close()


class RingReader:
    """Drains a ring's memory. ``commit`` gives the room of what was drained back to the kernel."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._size_bytes = memory.size_bytes
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
        data, spans = b"", list[Span]()
        if end > start:
            with self._memory.window(start, end) as window:
                spans, length = _committed(window, min(end - start, limit_bytes))
                self._barrier.full()
                data = bytes(window[:length])
        self._position = start + len(data)
        self._ends.append(self._position)
        return Delivery(data, spans, drained=self._position >= end)

    def commit(self, drains: int) -> None:
        """Let the kernel reuse what so many drains brought, the oldest first."""
        for _ in range(drains):
            self._memory.consumer[0] = self._ends.popleft()


def _committed(window: memoryview, end: int) -> tuple[list[Span], int]:
    """Where the records lie that begin before ``end``, up to the first that is not submitted; and
    where the last of them ends.
    """
    spans: list[Span] = []
    place = 0
    with window.cast("I") as words:
        while place < end:
            header = words[place >> 2]
            if header & _BUSY:
                break
            length = header & _LENGTH_MASK
            if not header & _DISCARDED:
                spans.append((place + _HEADER_BYTES, length))
            place += (length + _HEADER_BYTES + 7) & ~7
    return spans, place


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
        self._ring.close()
        os.close(self._map_fd)
