"""Where agentd stands: /proc, pids and clocks must be those of the host that the kernel reports."""

from __future__ import annotations

import os

from agentd.errors import UnavailableError

_INITIAL_PID_NS = 0xEFFFFFFC
_INITIAL_TIME_NS = 0xEFFFFFFA
"""Inode numbers of the initial namespaces (PROC_PID_INIT_INO and PROC_TIME_INIT_INO,
include/linux/proc_ns.h)."""


def check(proc: str = "/proc") -> None:
    """Raises UnavailableError, with the way out, if agentd sees another world than its probes."""
    try:
        own = os.readlink(f"{proc}/self")
    except OSError as error:
        raise UnavailableError(
            f"{proc} cannot be read: {error.strerror}", f"mount -t proc proc {proc}"
        ) from None
    if own != str(os.getpid()):
        raise UnavailableError(
            f"{proc} is of another pid namespace than agentd", f"mount -t proc proc {proc}"
        )
    if _namespace(proc, "pid") not in (None, _INITIAL_PID_NS):
        raise UnavailableError(
            "agentd is in a pid namespace of its own, and would see its own processes only",
            "run it on the host: docker's --pid=host, or nsenter --pid --mount -t 1",
        )
    if _namespace(proc, "time") not in (None, _INITIAL_TIME_NS):
        raise UnavailableError(
            "agentd is in a time namespace of its own, and its clock is not that of events",
            "run it outside: nsenter --time -t 1",
        )


def _namespace(proc: str, kind: str) -> int | None:
    """None where the kernel has no such namespaces."""
    try:
        return os.stat(f"{proc}/self/ns/{kind}").st_ino
    except OSError:
        return None
