"""Whether a process that lives on grows: its memory and file descriptors, sample by sample."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

GROWTH_MAX_BYTES = 128 * 1024
"""By which the lowest sample of its life's last third may be above that of the middle third.

Storms and scrapes take up to 2 MiB, and the allocator gives that back when it likes: a slope
through all samples says more of when that was than of growth. What has leaked is not given back:
it lifts the floor. The first third is for tables to fill up.
"""
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

    def thirds(self) -> list[list[tuple[float, int, int]]]:
        """Of its life."""
        third = len(self.points) // 3
        return [self.points[:third], self.points[third:-third], self.points[-third:]]

    def bytes_more(self) -> int:
        """How much higher the floor of the resident memory was in the last third."""
        _, middle, last = (min(resident for _, resident, _ in part) for part in self.thirds())
        return last - middle

    def slope_bytes_per_minute(self) -> float:
        """How the resident memory went behind the first third, by least squares."""
        _, middle, last = self.thirds()
        points = [*middle, *last]
        mean_x = sum(point[0] for point in points) / len(points)
        mean_y = sum(point[1] for point in points) / len(points)
        above = sum((x - mean_x) * (y - mean_y) for x, y, _ in points)
        return 60 * above / sum((x - mean_x) ** 2 for x, _, _ in points)

    def is_flat(self) -> bool:
        """Neither memory nor file descriptors grew."""
        fds = [fds for part in self.thirds()[1:] for _, _, fds in part]
        return self.bytes_more() <= GROWTH_MAX_BYTES and max(fds) - min(fds) <= FDS_MAX_MORE
