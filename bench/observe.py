"""Reading what a process costs out of /proc, and what it counts out of Prometheus text."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

CPUCLOCK_SCHED = 2
"""include/linux/posix-timers.h: the clock that counts time on a CPU, in nanoseconds."""

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class BenchError(Exception):
    """Why the benchmark cannot go on, for its user, with the exit code that says so."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def cpu_ns(pid: int) -> int:
    """CPU time of a process: all its threads, those that ended too, but not its children.

    The process's CPU clock, as clock_getcpuclockid(3) makes it, counts what
    ``/proc/PID/schedstat`` counts, which knows the leading thread alone.
    """
    try:
        return time.clock_gettime_ns(~pid << 3 | CPUCLOCK_SCHED)
    except OSError:
        return _stat_cpu_ns(pid, 13)


def children_cpu_ns(pid: int) -> int:
    """CPU time of the children that the process reaped, in steps of one clock tick."""
    return _stat_cpu_ns(pid, 15)


def _stat_cpu_ns(pid: int, field: int) -> int:
    """User plus system time out of /proc/PID/stat, ``field`` and the next, counted from 0."""
    after_comm = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(after_comm[field - 2]) + int(after_comm[field - 1])
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _status_number(status: Path, field: str) -> int:
    """A numeric field of a /proc status file."""
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise BenchError(f"{status} has no {field}")


def rss_mib(pid: int) -> float:
    """Resident memory now."""
    return _status_number(Path(f"/proc/{pid}/status"), "VmRSS") / 1024


def peak_rss_mib(pid: int) -> float:
    """The most resident memory since the process began."""
    return _status_number(Path(f"/proc/{pid}/status"), "VmHWM") / 1024


def wakeups(pid: int) -> int:
    """How often the threads of a process have gone to sleep, and so were woken."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(_status_number(task / "status", "voluntary_ctxt_switches") for task in tasks)


@dataclass(frozen=True)
class Sample:
    """One line of Prometheus text."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Metrics:
    """One scrape. A metric that is not exported at all is an error, never a zero."""

    samples: tuple[Sample, ...]
    families: frozenset[str]

    def total(self, name: str, **labels: str) -> int:
        """The sum of the samples of that name which carry these labels."""
        self._require(name)
        wanted = labels.items()
        found = (s for s in self.samples if s.name == name and wanted <= s.labels.items())
        return round(sum(sample.value for sample in found))

    def by_label(self, name: str, label: str) -> dict[str, int]:
        """The samples of that name, summed for each value of a label."""
        self._require(name)
        values = {s.labels[label] for s in self.samples if s.name == name and label in s.labels}
        return {value: self.total(name, **{label: value}) for value in sorted(values)}

    def _require(self, name: str) -> None:
        if not {name, name.removesuffix("_total")} & self.families:
            raise BenchError(f"agentd exports no metric {name}")


def parse_metrics(text: str) -> Metrics:
    """Parse the Prometheus text format, as far as plain counters and gauges need it."""
    samples = []
    families = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            families.add(line.split()[2])
        elif match := SAMPLE.match(line):
            name, labels, value = match.groups()
            families.add(name)
            samples.append(Sample(name, dict(LABEL.findall(labels or "")), float(value)))
    return Metrics(tuple(samples), frozenset(families))
