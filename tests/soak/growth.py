"""Whether a process that lives on grows: its memory and file descriptors, sample by sample."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

BLOCKS_MAX_MORE = 2000
"""By which the lowest count of Python's blocks in its life's last third may be above that of the
middle third. A storm and a scrape take tens of thousands for a while; what is left of either, once
for each of the hundreds that there are, lifts the floor by more. The first third is for tables to
fill up.
"""
RESIDENT_MAX_MORE_BYTES = 1 << 20
"""The same of resident memory, which has what C allocates in it, too: one arena of Python's
allocator (ARENA_BITS, Objects/obmalloc.c). Whether what is free between blocks is in arenas of its
own, which are given back, or in one with something that stays, is chance.
"""
FDS_MAX_MORE = 2
"""A connection that is being answered."""

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True)
class Sample:
    """At one moment."""

    seconds: float
    """Since its start."""
    resident_bytes: int
    blocks: int
    """Of memory that objects of Python take: ``agentd_python_blocks``."""
    fds: int


@dataclass(slots=True)
class Growth:
    """Of one process."""

    samples: list[Sample] = field(default_factory=list)

    def look(self, seconds: float, pid: int, blocks: int) -> None:
        """One more sample."""
        process = Path("/proc") / str(pid)
        resident_pages = int((process / "statm").read_text().split()[1])
        fds = len(list((process / "fd").iterdir()))
        self.samples.append(Sample(seconds, resident_pages * _PAGE_BYTES, blocks, fds))

    def thirds(self) -> list[list[Sample]]:
        """Of its life."""
        third = len(self.samples) // 3
        return [self.samples[:third], self.samples[third:-third], self.samples[-third:]]

    def resident_bytes_more(self) -> int:
        """How much higher the floor of the resident memory was in the last third."""
        return self._floor_more(lambda sample: sample.resident_bytes)

    def blocks_more(self) -> int:
        """How much higher the floor of Python's blocks was in the last third."""
        return self._floor_more(lambda sample: sample.blocks)

    def slope_bytes_per_minute(self) -> float:
        """How the resident memory went behind the first third, by least squares."""
        _, middle, last = self.thirds()
        samples = [*middle, *last]
        mean_x = sum(sample.seconds for sample in samples) / len(samples)
        mean_y = sum(sample.resident_bytes for sample in samples) / len(samples)
        above = sum((s.seconds - mean_x) * (s.resident_bytes - mean_y) for s in samples)
        return 60 * above / sum((s.seconds - mean_x) ** 2 for s in samples)

    def is_flat(self) -> bool:
        """Neither memory nor file descriptors grew."""
        fds = [sample.fds for third in self.thirds()[1:] for sample in third]
        return (
            self.blocks_more() <= BLOCKS_MAX_MORE
            and self.resident_bytes_more() <= RESIDENT_MAX_MORE_BYTES
            and max(fds) - min(fds) <= FDS_MAX_MORE
        )

    def _floor_more(self, value: Callable[[Sample], int]) -> int:
        _, middle, last = (min(map(value, third)) for third in self.thirds())
        return last - middle
