"""What a soak has seen: memory, file descriptors, and each attempt's number."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MIB = 1 << 20
SLOPE_MAX_BYTES_PER_MINUTE = 128 * 1024
"""More than that in each minute is growth, not noise."""


@dataclass(slots=True)
class Samples:
    """Of one run."""

    warm_up_seconds: float
    scrapes: int = 0
    points: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds since its start, resident bytes, file descriptors."""

    def add(self, seconds: float, resident_bytes: int, fds: int) -> None:
        """One more."""
        self.points.append((seconds, resident_bytes, fds))

    def warm(self) -> list[tuple[float, int, int]]:
        """Those behind the warm-up."""
        return [point for point in self.points if point[0] >= self.warm_up_seconds]

    def slope_bytes_per_minute(self) -> float | None:
        """How the resident memory grew, by least squares; None of too short a run."""
        points = self.warm()
        if len(points) < 60:
            return None
        mean_x = sum(point[0] for point in points) / len(points)
        mean_y = sum(point[1] for point in points) / len(points)
        above = sum((x - mean_x) * (y - mean_y) for x, y, _ in points)
        return 60 * above / sum((x - mean_x) ** 2 for x, _, _ in points)


@dataclass(slots=True)
class Account:
    """All runs of a soak."""

    samples: list[Samples] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    """Events by action, each attempt's number once."""
    expected: dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    imbalances: list[int] = field(default_factory=list)
    _seen: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def read(self, output: Path, log: str) -> None:
        """What one process wrote; the file is emptied."""
        with output.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):  # what a kill has cut off is told again
                    self._take(json.loads(line))
        output.write_bytes(b"")
        stopped = [json.loads(line) for line in log.splitlines() if '"stopped"' in line]
        self.imbalances += [line["imbalance"] for line in stopped]

    def truth(self, report: dict[str, Any]) -> None:
        """What the generator says that it did."""
        self.expected = {
            "fork": report["forks"] + report["worker_forks"],
            "exec": report["execs"],
            "exit": report["exits"] + report["worker_forks"] + 1,
        }

    def is_good(self) -> bool:
        """Nothing missing, nothing lost, nothing grew, every account added up."""
        slopes = [s for samples in self.samples if (s := samples.slope_bytes_per_minute())]
        return (
            dict(self.told) == self.expected
            and not any(self.imbalances)
            and all(slope < SLOPE_MAX_BYTES_PER_MINUTE for slope in slopes)
            and self._fds_are_flat()
        )

    def _fds_are_flat(self) -> bool:
        """Within each run, and from the first to any later; but for a scrape or a loader's log."""
        runs = [[point[2] for point in samples.warm()] for samples in self.samples]
        runs = [fds for fds in runs if fds]
        return all(max(fds) - min(fds) <= 2 and max(fds) <= max(runs[0]) + 2 for fds in runs)

    def report(self, minutes: float, rate: int) -> str:
        """For docs/service.md."""
        slopes = [s for samples in self.samples if (s := samples.slope_bytes_per_minute())]
        points = [point for samples in self.samples for point in samples.warm()]
        resident = [point[1] for point in points] or [0]
        fds = [point[2] for point in points] or [0]
        ends = ", ".join(f"{count} {how}" for how, count in self.ended.items()) or "none"
        rows = {
            "minutes, commands a second": f"{minutes:g}, {rate}",
            "ends of the daemon": ends,
            "events: made": ", ".join(f"{n:,} {k}" for k, n in self.expected.items()),
            "events: told, each once": ", ".join(
                f"{n:,} {k}" for k, n in sorted(self.told.items())
            ),
            "told again after a kill": f"{self.repeated:,}",
            "imbalance at each end": ", ".join(map(str, self.imbalances)),
            "scrapes answered": f"{sum(samples.scrapes for samples in self.samples):,}",
            "resident memory, MiB": f"{min(resident) / _MIB:.1f} to {max(resident) / _MIB:.1f}",
            "its slope in each run, KiB a minute": ", ".join(f"{s / 1024:+.1f}" for s in slopes),
            "file descriptors": f"{min(fds)} to {max(fds)}",
            "result": "good" if self.is_good() else "BAD",
        }
        return "\n".join(f"| {name} | {value} |" for name, value in rows.items())

    def _take(self, line: dict[str, Any]) -> None:
        inside = line["agentd"]
        if "cpu" not in inside:
            return
        count = inside.get("lost", {}).get("count", 1)
        for seq in range(inside["seq"], inside["seq"] + count):
            if seq in self._seen[inside["cpu"]]:
                self.repeated += 1
            else:
                self._seen[inside["cpu"]].add(seq)
                self.told[line["event"]["action"]] += 1
