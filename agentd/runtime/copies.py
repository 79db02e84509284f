"""Copies of this process that do one thing and end, and never run on as the daemon.

A copy shares nothing with the daemon but memory that is copied when one of the two writes to it.
So a copy may take long, grow, crash or be killed, and the daemon reads on. Mappings of the kernel's
buffers are not in it (MADV_DONTFORK, ``kernel/mmap_window.py``).
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import gc
import os
import resource
import signal
import time
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 1, 3, 4  # include/uapi/linux/prctl.h
_GONE_SECONDS = 0.05
"""What a killed process takes to end, unless it hangs."""
_LAST_FD = 0xFFFF_FFFF

_libc = ct.CDLL(None)


def copied(work: Callable[[], object]) -> int:
    """Fork. The copy does the work and ends with code 0, or 1 if that raises. Returns its pid.

    Raises OSError if there can be no copy, and RuntimeError if this process has other threads:
    what a thread holds at that moment, the copy would wait for without end.
    """
    if (count := threads()) != 1:
        raise RuntimeError(f"{count} threads when a copy is to be made")
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _be_copy(parent, work)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def threads() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/task"))


def end(pid: int) -> None:
    """End a copy. One that hangs in the kernel, at a file that does not answer, is left behind."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        until_seconds = time.monotonic() + _GONE_SECONDS
        while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < until_seconds:
            time.sleep(0.001)


def _be_copy(parent: int, work: Callable[[], object]) -> NoReturn:
    """Never returns: what called us belongs to the daemon."""
    code = 1
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:  # or it has ended before that
            gc.disable()  # it would write to every page
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            work()
            code = 0
    finally:
        os._exit(code)


def keep_fds(fds: Collection[int]) -> None:
    """Close all file descriptors but these and the standard three."""
    low = 3
    for fd in sorted(fd for fd in fds if fd >= low):
        if fd > low:
            _libc.close_range(low, fd - 1, 0)
        low = fd + 1
    _libc.close_range(ct.c_uint(low), ct.c_uint(_LAST_FD), 0)


def limit(most: Mapping[int, int], *, nice: int, oom_score_adj: int) -> None:
    """Take no more than that of each resource (``resource.RLIMIT_*``), and be the first to go."""
    for number, wanted in most.items():
        _, hard = resource.getrlimit(number)
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(number, (allowed, allowed))
    with contextlib.suppress(OSError):
        os.nice(nice)
    # the file is root's while nobody may look into this process
    dumpable = _libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(oom_score_adj))
    _libc.prctl(_PR_SET_DUMPABLE, dumpable, 0, 0, 0)


def hide() -> None:
    """Let no other process of our user look into this one's memory or take its descriptors."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
