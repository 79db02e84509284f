"""How a process ended: the raw exit code and CPU times, read as wait(2) and getrusage(2) would."""

from __future__ import annotations

from typing import NamedTuple


class Ending(NamedTuple):
    """What the raw exit code says. Exactly one of ``status`` and ``signal`` is set."""

    status: int | None
    signal: int | None
    core_dumped: bool


def read_exit_code(raw: int) -> Ending:
    """Take a raw wait status apart (include/uapi/linux/wait.h, WIFEXITED and its like)."""
    signal = raw & 0x7F
    if signal:
        return Ending(None, signal, bool(raw & 0x80))
    return Ending(raw >> 8 & 0xFF, None, core_dumped=False)


def scale_cpu_times(utime_ns: int, stime_ns: int, runtime_ns: int) -> tuple[int, int]:
    """User and system time in ns, as getrusage(2) gives them (kernel cputime_adjust()).

    The ticks say only in which proportion; the scheduler's runtime says how much.
    """
    if not stime_ns:
        return runtime_ns, 0
    system_ns = runtime_ns * stime_ns // (utime_ns + stime_ns)
    return runtime_ns - system_ns, system_ns
