"""Whether a process that lives on grows: its memory and file descriptors, sample by sample."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

WARM_UP_SECONDS = 60.0
"""Until every table is as full as it gets."""
GROWTH_MAX_BYTES = 256 * 1024
"""By which the highest sample of the second half may be above that of the first. The heap goes up
and down by 2 MiB with the storms, which makes of a slope what one likes; its peaks are level."""
FDS_MAX_MORE = 2
"""A connection that is being answered."""

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


@dataclass(slots=True)
class Growth:
    """Of one process."""

    points: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds since its start, resident bytes, file descriptors."""

    def look(self, seconds: float, pid: int) -> None:
        """One more sample."""
        process = Path("/proc") / str(pid)
        resident_pages = int((process / "statm").read_text().split()[1])
        self.add(seconds, resident_pages * _PAGE_BYTES, len(list((process / "fd").iterdir())))

    def add(self, seconds: float, resident_bytes: int, fds: int) -> None:
        """The same, looked up elsewhere."""
        self.points.append((seconds, resident_bytes, fds))

    def halves(self) -> tuple[list[tuple[float, int, int]], list[tuple[float, int, int]]]:
        """Of the time behind the warm-up."""
        warm = [point for point in self.points if point[0] >= WARM_UP_SECONDS]
        return warm[: len(warm) // 2], warm[len(warm) // 2 :]

    def bytes_more(self) -> int:
        """How much higher the resident memory was in the second half than ever in the first."""
        first, second = (max(resident for _, resident, _ in half) for half in self.halves())
        return second - first

    def slope_bytes_per_minute(self) -> float:
        """How the resident memory went in the second half, by least squares."""
        points = self.halves()[1]
        mean_x = sum(point[0] for point in points) / len(points)
        mean_y = sum(point[1] for point in points) / len(points)
        above = sum((x - mean_x) * (y - mean_y) for x, y, _ in points)
        return 60 * above / sum((x - mean_x) ** 2 for x, _, _ in points)

    def is_flat(self) -> bool:
        """Neither memory nor file descriptors grew."""
        fds = [fds for half in self.halves() for _, _, fds in half]
        return self.bytes_more() <= GROWTH_MAX_BYTES and max(fds) - min(fds) <= FDS_MAX_MORE
