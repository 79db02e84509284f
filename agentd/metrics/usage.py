"""What exited processes have done, by unit and by executable: those that do most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentd.metrics.family import COUNTER, GAUGE, Family, Metric
from agentd.metrics.snapshot import Snapshot, WorkOf

_UNIT = ("unit", "slice")
_EXECUTABLE = ("executable",)

UNITS = (
    Family(
        COUNTER,
        "agentd_exec",
        "Execs by unit.",
        _UNIT,
        more="Of systemd; elsewhere the container, or the slice. The slice stands beside it, for"
        " users' units are often called like the system's",
    ),
    Family(COUNTER, "agentd_exited_processes", "Processes that exited, by unit.", _UNIT),
    Family(
        COUNTER,
        "agentd_exited_cpu_seconds",
        "CPU time of processes that exited, by unit; sampled, true in the sum.",
        _UNIT,
        more="User and system, as the clock's ticks sampled it: luck for one, the truth for many."
        " What still runs is not in it",
    ),
    Family(
        GAUGE,
        "agentd_exited_peak_rss_bytes",
        "Highest resident memory of any process that exited, by unit.",
        _UNIT,
    ),
)
EXECUTABLES = (
    Family(COUNTER, "agentd_executable_exec", "Execs by the path of what ran.", _EXECUTABLE),
    Family(
        COUNTER,
        "agentd_executable_exited_processes",
        "Processes that exited, by executable.",
        _EXECUTABLE,
    ),
    Family(
        COUNTER,
        "agentd_executable_exited_cpu_seconds",
        "CPU time of processes that exited, by executable; sampled, true in the sum.",
        _EXECUTABLE,
    ),
    Family(
        GAUGE,
        "agentd_executable_exited_peak_rss_bytes",
        "Highest resident memory of any process that exited, by executable.",
        _EXECUTABLE,
    ),
)
CAPACITY = Family(
    GAUGE,
    "agentd_work_capacity",
    "How many have series of their own at most.",
    ("by",),
    more="`unit`: `metrics.units`; `executable`: `metrics.executables`; 0: there are none at all",
)


def units(now: Snapshot) -> Iterator[Metric]:
    """By systemd unit, and the slice that it is in."""
    return _filled(UNITS, now.units, now.page_bytes)


def executables(now: Snapshot) -> Iterator[Metric]:
    """By the file that they ran."""
    return _filled(EXECUTABLES, now.executables, now.page_bytes)


def capacity(now: Snapshot) -> Metric:
    """The bounds."""
    return CAPACITY.by((("unit", now.units_capacity), ("executable", now.executables_capacity)))


def _filled(
    families: tuple[Family, Family, Family, Family],
    series: Sequence[WorkOf],
    page_bytes: int,
) -> Iterator[Metric]:
    if not series:
        return
    execs, exits, cpu, rss = families
    yield execs.series((work.name, work.execs) for work in series)
    yield exits.series((work.name, work.exits) for work in series)
    yield cpu.series((work.name, work.cpu_ns / 1e9) for work in series)
    yield rss.series((work.name, work.max_rss_pages * page_bytes) for work in series)
