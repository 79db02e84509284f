"""The clock of events, and of /proc."""

from __future__ import annotations

import os
import time

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""The resolution of start times in /proc."""


def boottime_ns() -> int:
    """CLOCK_BOOTTIME, the clock of all events."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wall_offset_ns() -> int:
    """What to add to CLOCK_BOOTTIME to get the wall clock, now."""
    return time.time_ns() - boottime_ns()
