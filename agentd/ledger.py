"""How far a stream was handed on, where a next process finds it."""

from __future__ import annotations

import mmap
import os
import sys

from agentd.core.accounting import Progress

_UNTOLD_ROWS = 2
_KINDS = 3
"""fork, exec, exit"""


def turn_of(fd: int) -> int:
    """How often a ledger was written."""
    return int.from_bytes(os.pread(fd, 8, 0), sys.byteorder)


class Ledger:
    """How far the stream was handed on, in shared memory.

    Two places are written in turn, and then the number that says which one holds: whoever dies
    between the two leaves the place before. One row each for the next numbers and each cause.
    """

    def __init__(self, fd: int, cpus: int, causes: int) -> None:
        self.fd = fd
        self._cpus = cpus
        self._words_each = 2 + _KINDS + cpus * (1 + causes + _UNTOLD_ROWS)
        self._no_untold = ((0,) * cpus,) * _UNTOLD_ROWS
        size_bytes = 8 * (1 + 2 * self._words_each)
        if os.fstat(fd).st_size < size_bytes:
            os.ftruncate(fd, size_bytes)
        self._map = mmap.mmap(fd, size_bytes)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def fresh(cls, cpus: int, causes: int) -> Ledger:
        """An empty one."""
        return cls(os.memfd_create("agentd-progress"), cpus, causes)

    def write(self, progress: Progress) -> None:
        """Replace what stands there."""
        turn = self._words[0] + 1
        skipped = progress.skipped or (0,) * _KINDS
        values = [progress.at_ns, progress.watermark_ns, *skipped, *progress.next_seq]
        for row in progress.settled + (progress.untold or self._no_untold):
            values += row
        start = 1 + turn % 2 * self._words_each
        for index, value in enumerate(values, start):
            self._words[index] = value
        self._words[0] = turn

    @property
    def turn(self) -> int:
        """How often it was written."""
        return int(self._words[0])

    def read(self) -> Progress | None:
        """What was written last; None if nothing was."""
        turn = self._words[0]
        if not turn:
            return None
        start = 1 + turn % 2 * self._words_each
        at_ns, watermark_ns, *values = self._words[start : start + self._words_each].tolist()
        skipped, values = tuple(values[:_KINDS]), values[_KINDS:]
        rows = [tuple(values[i : i + self._cpus]) for i in range(0, len(values), self._cpus)]
        settled, untold = rows[1:-_UNTOLD_ROWS], rows[-_UNTOLD_ROWS:]
        return Progress(rows[0], tuple(settled), at_ns, watermark_ns, tuple(untold), skipped)

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._map.close()
        os.close(self.fd)
