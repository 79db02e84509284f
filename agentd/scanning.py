"""Reading all of /proc without keeping the rounds from their work."""

from __future__ import annotations

import asyncio
import time

from agentd import procfs
from agentd.core.reconcile import Observed

SLICE_SECONDS = 0.002
"""How long a slice may keep the loop from anything else, one process more or less."""


async def scan_in_slices(cgroup: str, proc: str = "/proc") -> list[Observed]:
    """All processes that live, as procfs.observe gives them; the loop runs between the slices."""
    found: list[Observed] = []
    slice_end = time.monotonic() + SLICE_SECONDS
    for observed in procfs.observe(proc, cgroup):
        found.append(observed)
        if time.monotonic() > slice_end:
            await asyncio.sleep(0)
            slice_end = time.monotonic() + SLICE_SECONDS
    return found
