"""What was told in a soak: each attempt's number, and what it became."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Account:
    """Of all processes of a soak."""

    told: Counter[str] = field(default_factory=Counter)
    """Events by action, each attempt's number once; ``lost`` is what was told as missed."""
    repeated: int = 0
    imbalances: list[int] = field(default_factory=list)
    _seen: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _read: Counter[Path] = field(default_factory=Counter)
    """Bytes of each output."""

    def read(self, output: Path) -> None:
        """What has been written there since; what a kill has cut off is told again elsewhere."""
        with output.open("rb") as lines:
            lines.seek(self._read[output])
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._read[output] += len(line)
                self._take(json.loads(line))

    def ended(self, log: str) -> None:
        """A process ended, and has left this log; a killed one has no last word."""
        stopped = [json.loads(line) for line in log.splitlines() if '"stopped"' in line]
        self.imbalances += [line["imbalance"] for line in stopped]

    def is_exact(self, made: Counter[str]) -> bool:
        """Every event that was made was told, or told as lost; and each process's sums agree."""
        all_told = sum(self.told.values()) == sum(made.values())
        none_invented = all(self.told[action] <= made[action] for action in made)
        return all_told and none_invented and not any(self.imbalances)

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
