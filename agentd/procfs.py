"""/proc to processes: what ran before agentd did.

Processes vanish while they are being read; whatever is gone or may not be read is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from agentd.core.tree import Image, Process
from agentd.host import TICK_NS

_STAT_PPID = 1
_STAT_STARTTIME = 19
"""Indexes among the fields after the name, proc(5) field 4 and 22."""


def scan(proc: str = "/proc") -> list[Process]:
    """All processes now, their start good to ``TICK_NS``, parents by the same keys."""
    stats = dict(_stats(proc))
    starts = {tgid: start_ns for tgid, (_, _, start_ns) in stats.items()}
    return [
        Process(
            key=(tgid, start_ns),
            parent=(ppid, starts.get(ppid, 0)),
            image=_image(proc, tgid, name),
            executed=True,
            coarse=True,
        )
        for tgid, (name, ppid, start_ns) in stats.items()
    ]


def parse_stat(text: bytes) -> tuple[bytes, int, int]:
    """Name, parent's tgid and start (ns of CLOCK_BOOTTIME) from /proc/PID/stat.

    The name may hold anything, parentheses and newlines too, and ends at the last ')'.
    Raises ValueError on text that is not such a line.
    """
    opening, closing = text.find(b"("), text.rfind(b")")
    rest = text[closing + 1 :].split()
    if opening < 0 or closing < opening or len(rest) <= _STAT_STARTTIME:
        raise ValueError("not a line of /proc/PID/stat")
    name = text[opening + 1 : closing]
    return name, int(rest[_STAT_PPID]), int(rest[_STAT_STARTTIME]) * TICK_NS


def forks_total(proc: str = "/proc") -> int:
    """Forks of the kernel since boot, threads included (``processes`` in /proc/stat)."""
    with open(f"{proc}/stat", "rb") as file:
        line = next(line for line in file if line.startswith(b"processes "))
    return int(line.split()[1])


def _stats(proc: str) -> Iterator[tuple[int, tuple[bytes, int, int]]]:
    for name in os.listdir(proc):
        if name.isdigit():
            text = _read(f"{proc}/{name}/stat")
            if text:
                yield int(name), parse_stat(text)


def _image(proc: str, tgid: int, name: bytes) -> Image:
    args = _read(f"{proc}/{tgid}/cmdline")
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
