"""Perf buffers, one a CPU, drained by mmap without a syscall.

Layout (include/uapi/linux/perf_event.h): a page that holds, among others, data_head, which the
kernel writes, and data_tail, which user space writes; then the data. Each record has an 8-byte
header of type, misc and size, and starts at a multiple of 8. Positions only grow; the place in the
data is the position modulo the size. A record may lie across the end.

A sample's payload begins behind a 32-bit length, so at 4 modulo 8, and is padded at its end.
"""

from __future__ import annotations

import mmap
import os
import select
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Protocol

from agentd.core.loss.stages import STAGE_LOST_SAMPLES
from agentd.core.wire.decode import Span
from agentd.core.wire.delivery import Delivery
from agentd.kernel.memory_barrier import Barrier
from agentd.kernel.perf_event import map_event

_DATA_HEAD_WORD = 1024 // 8  # offsetof(struct perf_event_mmap_page, data_head)
_DATA_TAIL_WORD = 1032 // 8
_RECORD_LOST = 2  # PERF_RECORD_LOST: header, u64 id, u64 lost
_RECORD_SAMPLE = 9  # PERF_RECORD_SAMPLE: header, u32 size, data
_TYPE_MASK = (1 << 32) - 1
_SIZE_SHIFT = 48
_HEADER_BYTES = 8
_PAYLOAD_OFFSET = 12
_LOST_COUNT_WORD = 2

_LIMIT_BYTES_MIN = 1 << 16
"""More than any record, whose size is a 16-bit number."""


class Memory(Protocol):
    """One CPU's mapped buffer."""

    positions: memoryview
    """The first page as 64-bit words."""
    data: memoryview
    """The data area as bytes."""


class PerfMemory:
    """The buffer behind a perf event's fd."""

    def __init__(self, fd: int, data_bytes: int) -> None:
        self._map = map_event(fd, data_bytes)
        self._map.madvise(mmap.MADV_DONTFORK)  # a copy of this process could move its positions
        whole = memoryview(self._map)
        self.positions = whole[: mmap.PAGESIZE].cast("Q")
        self.data = whole[mmap.PAGESIZE :]
        whole.release()

    def close(self) -> None:
        """Unmap."""
        self.positions.release()
        self.data.release()
        self._map.close()


class CpuReader:
    """Drains one CPU's buffer."""

    def __init__(self, memory: Memory) -> None:
        self.lost_samples = 0
        """What the kernel itself said that it could not write (PERF_RECORD_LOST)."""
        self._memory = memory
        self._mask = len(memory.data) - 1
        self.position = int(memory.positions[_DATA_TAIL_WORD])
        """Up to where it has been drained."""

    @property
    def head(self) -> int:
        """Where the kernel will write next."""
        return int(self._memory.positions[_DATA_HEAD_WORD])

    @property
    def used_bytes(self) -> int:
        """Bytes between the positions of reader and writer."""
        return self.head - int(self._memory.positions[_DATA_TAIL_WORD])

    def drain(self, head: int, limit_bytes: int) -> tuple[bytes, list[Span], bool]:
        """Whole records up to ``head`` and about the limit: their bytes, where the samples lie
        in them, and whether that was all.
        """
        data = self._copy(self.position, min(head, self.position + limit_bytes))
        spans, taken = self._samples(data)
        self.position += taken
        return data, spans, self.position == head

    def commit(self, position: int) -> None:
        """Let the kernel reuse what was drained up to there."""
        self._memory.positions[_DATA_TAIL_WORD] = position

    def _copy(self, start: int, end: int) -> bytes:
        data, first, last = self._memory.data, start & self._mask, end & self._mask
        if end - start and first >= last:
            return b"".join((data[first:], data[:last]))
        return bytes(data[first:last])

    def _samples(self, data: bytes) -> tuple[list[Span], int]:
        """Where the payloads of whole samples are, and where the last whole record ends."""
        words = memoryview(data).cast("Q")
        spans: list[Span] = []
        position = 0
        while position < len(data):
            header = words[position >> 3]
            size = header >> _SIZE_SHIFT
            if size < _HEADER_BYTES:
                raise RuntimeError(f"a perf record of {size} bytes at {self.position + position}")
            if position + size > len(data):
                break
            kind = header & _TYPE_MASK
            if kind == _RECORD_SAMPLE:
                spans.append((position + _PAYLOAD_OFFSET, size - _PAYLOAD_OFFSET))
            elif kind == _RECORD_LOST:
                self.lost_samples += words[(position >> 3) + _LOST_COUNT_WORD]
            position += size
        return spans, position


class PerfReader:
    """Drains the buffers of all CPUs in one round."""

    def __init__(self, memories: Sequence[Memory]) -> None:
        self._cpus = [CpuReader(memory) for memory in memories]
        self._size_bytes = [len(memory.data) for memory in memories]
        self._barrier = Barrier()
        self._ends: deque[list[int]] = deque()

    @property
    def size_bytes(self) -> int:
        """How much fits into the buffers together."""
        return sum(self._size_bytes)

    @property
    def used_bytes(self) -> int:
        """How much of that is taken."""
        return sum(cpu.used_bytes for cpu in self._cpus)

    @property
    def unread_bytes(self) -> int:
        """Bytes that no drain has brought yet."""
        return sum(cpu.head - cpu.position for cpu in self._cpus)

    @property
    def filled(self) -> float:
        """Which part of the fullest CPU's buffer is taken, from 0 to 1."""
        filled = zip(self._cpus, self._size_bytes, strict=True)
        return max(cpu.used_bytes / size for cpu, size in filled)

    @property
    def lost_samples(self) -> int:
        """Records that the kernel itself says it could not write, a shortened second try too."""
        return sum(cpu.lost_samples for cpu in self._cpus)

    def drain(self, limit_bytes: int) -> Delivery:
        """Copy what each CPU has written, up to about ``limit_bytes``, one CPU after another."""
        heads = [cpu.head for cpu in self._cpus]
        self._barrier.full()
        share_bytes = max(limit_bytes // len(heads) & ~7, _LIMIT_BYTES_MIN)
        pieces: list[bytes] = []
        spans: list[Span] = []
        base, drained = 0, True
        for cpu, head in zip(self._cpus, heads, strict=True):
            data, own_spans, complete = cpu.drain(head, share_bytes)
            spans += [(base + offset, length) for offset, length in own_spans]
            pieces.append(data)
            base += len(data)
            drained = drained and complete
        self._ends.append([cpu.position for cpu in self._cpus])
        return Delivery(b"".join(pieces), spans, drained)

    def commit(self, drains: int) -> None:
        """Let the kernel reuse what so many drains brought, the oldest first."""
        if not drains:
            return
        self._barrier.full()
        for _ in range(drains):
            positions = self._ends.popleft()
        for cpu, position in zip(self._cpus, positions, strict=True):
            cpu.commit(position)


class Perfbuf(PerfReader):
    """The buffers behind the fds of perf events, and the map that gives them to the programs."""

    room_stage: ClassVar[str] = STAGE_LOST_SAMPLES
    survives_its_reader: ClassVar[bool] = False
    """The kernel frees a buffer with its last mapping."""
    poll_seconds: ClassVar[float] = 0.2
    """A buffer makes its fd readable when it has filled up some way, not with the first record."""

    def __init__(self, map_fd: int, event_fds: Sequence[int], bytes_per_cpu: int) -> None:
        self._fds = (map_fd, *event_fds)
        self._memories = [PerfMemory(fd, bytes_per_cpu) for fd in event_fds]
        self._epoll = select.epoll()
        for fd in event_fds:
            self._epoll.register(fd, select.EPOLLIN)
        super().__init__(self._memories)

    def fileno(self) -> int:
        """The fd to poll."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Unmap and let go of the events and the map."""
        self._epoll.close()
        for memory in self._memories:
            memory.close()
        for fd in self._fds:
            os.close(fd)
