"""usage: reader.py OUTPUT REPORT      copies JSON lines of agentd from standard input to OUTPUT

At the end it writes to REPORT, as JSON: events by action, lost events, and the longest time from
an event until its line was here. It is a process of its own, so that nothing that a test does
delays it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 16


class Watch:
    """What came, and how late."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.lost = 0
        self.longest_delay_ns = 0

    def take(self, line: dict[str, Any], now_ns: int) -> None:
        """Count one line."""
        agentd = line["agentd"]
        if "lost" in agentd:
            self.lost += agentd["lost"]["count"]
        elif "inferred" not in agentd["flags"]:
            self.events[line["event"]["action"]] += 1
            self.longest_delay_ns = max(self.longest_delay_ns, now_ns - agentd["boottime_ns"])


def main(output: Path, report: Path) -> None:
    """Read until the writer has gone."""
    watch, rest = Watch(), b""
    with output.open("ab", buffering=0) as file:
        while chunk := os.read(0, _CHUNK_BYTES):
            now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            file.write(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                watch.take(json.loads(line), now_ns)
    report.write_text(json.dumps(vars(watch)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
