"""How far a stream was handed on, where a next process finds it."""

from __future__ import annotations

import mmap
import os
import struct
import sys
import zlib

from agentd.core.loss.tracker import Progress

_UNTOLD_ROWS = 2
_KINDS = 3
"""fork, exec, exit"""
_MAGIC = 0x6167_656E_7464_0002
"""What a ledger of this layout has as its second word; a zeroed memory has not."""
_WORD_BYTES = 8
_TURN_MASK = (1 << 32) - 1
_HEADER_WORDS = 2


class LedgerDamagedError(Exception):
    """What stands there is not what a ledger of this layout has written."""


def turn_of(fd: int) -> int:
    """How often a ledger was written."""
    return int.from_bytes(os.pread(fd, 8, 0), sys.byteorder)


class Ledger:
    """How far the stream was handed on, in shared memory.

    Two places are written in turn, and then the turn's number, which says which one holds: whoever
    dies between the two leaves the place before. A place is a checksum, then one row each for the
    next numbers and each cause, then two of one more column (``Progress.untold``). The turn is one
    word, with its own checksum in the upper half.

    Takes a ledger that another process may have written. Raises LedgerDamagedError if the memory
    cannot be one.
    """

    def __init__(self, fd: int, cpus: int, causes: int) -> None:
        self.fd = fd
        self._cpus = cpus
        self._values = struct.Struct(f"={_values(cpus, causes)}Q")
        self._place_bytes = _WORD_BYTES + self._values.size
        self._no_untold = ((0,) * (cpus + 1),) * _UNTOLD_ROWS
        size_bytes = _HEADER_WORDS * _WORD_BYTES + 2 * self._place_bytes
        try:
            self._map = mmap.mmap(fd, size_bytes)  # no larger than the file
        except (OSError, ValueError) as error:
            raise LedgerDamagedError(f"cannot be mapped: {error}") from None
        self._map.madvise(mmap.MADV_DONTFORK)  # a copy of this process could write to it
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def fresh(cls, cpus: int, causes: int) -> Ledger:
        """An empty one."""
        fd = os.memfd_create("agentd-progress")
        words = _HEADER_WORDS + 2 * (1 + _values(cpus, causes))
        os.ftruncate(fd, words * _WORD_BYTES)
        ledger = cls(fd, cpus, causes)
        ledger.clear()
        return ledger

    def clear(self) -> None:
        """As if nothing had been written."""
        self._map[:] = bytes(len(self._map))
        self._words[1] = _MAGIC

    def write(self, progress: Progress) -> None:
        """Replace what stands there."""
        turn = (self._words[0] + 1) & _TURN_MASK
        skipped = progress.skipped or (0,) * _KINDS
        values = [progress.at_ns, progress.watermark_ns, *skipped, *progress.next_seq]
        for row in progress.settled + (progress.untold or self._no_untold):
            values += row
        data = self._values.pack(*values)
        start = self._start(turn)
        self._map[start : start + self._place_bytes] = _checksum(turn, data) + data
        self._words[0] = _checked(turn)

    @property
    def turn(self) -> int:
        """How often it was written."""
        return int(self._words[0])

    def read(self) -> Progress | None:
        """What was written last; None if nothing was. Raises LedgerDamagedError."""
        word = self._words[0]
        turn = word & _TURN_MASK
        if self._words[1] != _MAGIC:
            raise LedgerDamagedError("is none of this version")
        if not word and not any(self._words[2:]):
            return None
        if word != _checked(turn):
            raise LedgerDamagedError("says not which place holds")
        start = self._start(turn)
        data = self._map[start + _WORD_BYTES : start + self._place_bytes]
        if self._map[start : start + _WORD_BYTES] != _checksum(turn, data):
            raise LedgerDamagedError("its checksum is wrong")
        at_ns, watermark_ns, *values = self._values.unpack(data)
        skipped, values = tuple(values[:_KINDS]), values[_KINDS:]
        untold_at = len(values) - _UNTOLD_ROWS * (self._cpus + 1)
        next_seq, *settled = _rows(values[:untold_at], self._cpus)
        untold = tuple(_rows(values[untold_at:], self._cpus + 1))
        return Progress(next_seq, tuple(settled), at_ns, watermark_ns, untold, skipped)

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._map.close()
        os.close(self.fd)

    def _start(self, turn: int) -> int:
        return _HEADER_WORDS * _WORD_BYTES + turn % 2 * self._place_bytes


def _values(cpus: int, causes: int) -> int:
    """How many numbers a place holds."""
    return 2 + _KINDS + cpus * (1 + causes) + (cpus + 1) * _UNTOLD_ROWS


def _rows(values: list[int], columns: int) -> list[tuple[int, ...]]:
    return [tuple(values[start : start + columns]) for start in range(0, len(values), columns)]


def _checksum(turn: int, data: bytes) -> bytes:
    return struct.pack("=Q", zlib.crc32(data, turn))


def _checked(turn: int) -> int:
    """A turn as its word."""
    return zlib.crc32(turn.to_bytes(4, "little")) << 32 | turn
