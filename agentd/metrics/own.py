"""The usual metrics of a process and of Python, of the daemon: its numbers come from another one.

They are called, and mean, what Prometheus's own library exports of the process that it runs in.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator

from agentd.metrics.family import COUNTER, GAUGE, Family, Metric
from agentd.metrics.snapshot import Snapshot

_VIRTUAL = Family(GAUGE, "process_virtual_memory_bytes", "Virtual memory size in bytes.")
_RESIDENT = Family(GAUGE, "process_resident_memory_bytes", "Resident memory size in bytes.")
_START = Family(
    GAUGE, "process_start_time_seconds", "Start time of the process since unix epoch in seconds."
)
_CPU = Family(COUNTER, "process_cpu_seconds", "Total user and system CPU time spent in seconds.")
_OPEN_FDS = Family(GAUGE, "process_open_fds", "Number of open file descriptors.")
_MAX_FDS = Family(GAUGE, "process_max_fds", "Maximum number of open file descriptors.")
_COLLECTOR = (
    Family(COUNTER, "python_gc_objects_collected", "Objects collected during gc.", ("generation",)),
    Family(
        COUNTER,
        "python_gc_objects_uncollectable",
        "Uncollectable objects found during gc.",
        ("generation",),
    ),
    Family(
        COUNTER,
        "python_gc_collections",
        "Number of times this generation was collected.",
        ("generation",),
    ),
)
_PYTHON = Family(
    GAUGE,
    "python_info",
    "Python platform information.",
    ("implementation", "major", "minor", "patchlevel", "version"),
)


def process(now: Snapshot) -> Iterator[Metric]:
    """The process, as the kernel has it."""
    own = now.own
    yield _VIRTUAL.value(own.virtual_bytes)
    yield _RESIDENT.value(own.resident_bytes)
    yield _START.value(own.started_seconds)
    yield _CPU.value(own.cpu_seconds)
    yield _OPEN_FDS.value(own.open_fds)
    yield _MAX_FDS.value(own.max_fds)


def python(now: Snapshot) -> Iterator[Metric]:
    """Its Python."""
    for place, family in enumerate(_COLLECTOR):
        yield family.by(
            (str(generation), counts[place])
            for generation, counts in enumerate(now.own.collections)
        )
    version = platform.python_version()
    yield _PYTHON.series(
        [((platform.python_implementation(), *platform.python_version_tuple(), version), 1)]
    )
