"""What the kernel and Python say of this process."""

from __future__ import annotations

import gc
import os
import resource
import time

from agentd.host import clock
from agentd.metrics.snapshot import OwnProcess


def own_process(started_ns: int) -> OwnProcess:
    """What the kernel and Python say of this process. ``started_ns``: CLOCK_BOOTTIME."""
    virtual_bytes, resident_bytes = memory_bytes()
    return OwnProcess(
        virtual_bytes,
        resident_bytes,
        (started_ns + clock.wall_offset_ns()) / 1e9,
        time.process_time(),
        len(os.listdir("/proc/self/fd")) - 1,
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        tuple(
            (each["collected"], each["uncollectable"], each["collections"])
            for each in gc.get_stats()
        ),
    )


def memory_bytes(proc: str = "/proc") -> tuple[int, int]:
    """What we ourselves have in memory: addresses in use, and of these what is resident."""
    with open(f"{proc}/self/statm") as file:
        size, resident, *_ = file.read().split()
    page = os.sysconf("SC_PAGE_SIZE")
    return int(size) * page, int(resident) * page
