"""/proc to processes: what ran before agentd did.

Processes vanish while they are being read; whatever is gone or may not be read is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from agentd.core.process import Image, Process
from agentd.core.reconcile import Observed
from agentd.host import TICK_NS, boottime_ns

_STAT_STATE = 0
_STAT_PPID = 1
_STAT_PGRP = 2
_STAT_SESSION = 3
_STAT_NUM_THREADS = 17
_STAT_STARTTIME = 19
"""Indexes among the fields after the name, proc(5) fields 3 to 6, 20 and 22."""

_DEAD_STATES = (b"Z", b"X")


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/PID/stat says. ``start_ns``: ns of CLOCK_BOOTTIME, to a tick."""

    name: bytes
    parent_tgid: int
    process_group: int
    session: int
    start_ns: int
    is_dead: bool
    """A zombie without another thread that lives."""


def scan(proc: str = "/proc", cgroup: str = "") -> list[Process]:
    """All processes that live now, their start good to ``TICK_NS``, parents by the same keys."""
    return [observed.process for observed in observe(proc, cgroup)]


def observe(proc: str = "/proc", cgroup: str = "") -> Iterator[Observed]:
    """The processes that live, one after the other, each as it is at that moment.

    ``cgroup``: what is in it, or below, counts as inside; everything if empty. The arguments of
    what is outside are nobody's business.
    """
    stats: dict[int, Stat | None] = {}
    for tgid in _tgids(proc):
        seen_ns = boottime_ns()
        stat = stats[tgid] = _stat(proc, tgid)
        if stat is None or stat.is_dead:
            continue
        parent = stat.parent_tgid
        if parent not in stats:
            stats[parent] = _stat(proc, parent)
        above = stats[parent]
        path = _cgroup(proc, tgid)
        inside = not cgroup or f"{path}/".startswith(f"/{cgroup.strip('/')}/")
        uid, gid = _owner(proc, tgid)
        process = Process(
            key=(tgid, stat.start_ns),
            parent=(parent, above.start_ns if above else 0),
            image=_image(proc, tgid, stat.name, with_args=inside),
            executed=True,
            coarse=True,
            inside=inside,
            verified_ns=seen_ns,
            process_group=stat.process_group,
            session=stat.session,
            uid=uid,
            seen_cgroup=path,
        )
        yield Observed(process, uid, gid)


def _tgids(proc: str) -> Iterator[int]:
    """Listed little by little: with tens of thousands that takes a while."""
    with os.scandir(proc) as entries:
        for entry in entries:
            if entry.name.isdigit():
                yield int(entry.name)


def shows_all(proc: str = "/proc") -> bool:
    """Whether no process is hidden from us: init, which is root's, can be read."""
    return _stat(proc, 1) is not None


def parse_stat(text: bytes) -> Stat:
    """/proc/PID/stat as text.

    The name may hold anything, parentheses and newlines too, and ends at the last ')'.
    Raises ValueError on text that is not such a line.
    """
    opening, closing = text.find(b"("), text.rfind(b")")
    rest = text[closing + 1 :].split()
    if opening < 0 or closing < opening or len(rest) <= _STAT_STARTTIME:
        raise ValueError("not a line of /proc/PID/stat")
    return Stat(
        name=text[opening + 1 : closing],
        parent_tgid=int(rest[_STAT_PPID]),
        process_group=int(rest[_STAT_PGRP]),
        session=int(rest[_STAT_SESSION]),
        start_ns=int(rest[_STAT_STARTTIME]) * TICK_NS,
        is_dead=rest[_STAT_STATE] in _DEAD_STATES and int(rest[_STAT_NUM_THREADS]) <= 1,
    )


def resident_bytes(proc: str = "/proc") -> int:
    """What we ourselves have in memory."""
    with open(f"{proc}/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def program_counts(fd: int, proc: str = "/proc") -> tuple[int, int, int]:
    """Of a BPF program of ours: runs that were left out; runs, and the ns that they took.

    The first is counted since Linux 5.12, the others only with kernel.bpf_stats_enabled
    (kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
    """
    with open(f"{proc}/self/fdinfo/{fd}") as file:
        values = dict(line.split(":", 1) for line in file)
    names = ("recursion_misses", "run_cnt", "run_time_ns")
    skipped, runs, run_ns = (int(values.get(name, 0)) for name in names)
    return skipped, runs, run_ns


def forks_total(proc: str = "/proc") -> int:
    """Forks of the kernel since boot, threads included (``processes`` in /proc/stat)."""
    with open(f"{proc}/stat", "rb") as file:
        line = next(line for line in file if line.startswith(b"processes "))
    return int(line.split()[1])


def _stat(proc: str, tgid: int) -> Stat | None:
    """None where there is no such process, or it is hidden."""
    text = _read(f"{proc}/{tgid}/stat")
    return parse_stat(text) if text else None


def _owner(proc: str, tgid: int) -> tuple[int, int]:
    """Effective uid and gid; root's for what is gone."""
    words: dict[bytes, list[bytes]] = {}
    for line in _read(f"{proc}/{tgid}/status").splitlines():
        name, _, value = line.partition(b":")
        words[name] = value.split()
    effective = [words.get(name, [b"0", b"0"])[1] for name in (b"Uid", b"Gid")]
    return int(effective[0]), int(effective[1])


def _cgroup(proc: str, tgid: int) -> str:
    """Its path below the cgroup v2 mount; empty where it has gone, or there is none."""
    for line in os.fsdecode(_read(f"{proc}/{tgid}/cgroup")).splitlines():
        if line.startswith("0::"):
            return line[3:]
    return ""


def _image(proc: str, tgid: int, name: bytes, *, with_args: bool) -> Image:
    args = _read(f"{proc}/{tgid}/cmdline") if with_args else b""
    try:
        executable = os.readlink(os.fsencode(f"{proc}/{tgid}/exe"))
    except OSError:  # gone, a kernel thread, or not ours to see
        executable = b""
    return Image(name, executable, args, args.count(b"\0"))


def _read(path: str) -> bytes:
    """The file's content; empty when the process is gone or hidden."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
