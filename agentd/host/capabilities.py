"""Giving up what is not needed any more, for good."""

from __future__ import annotations

import ctypes as ct
import os
from collections.abc import Collection

CAP_SYS_PTRACE = 19
"""Reading /proc/PID/exe of other users' processes (proc(5)). include/uapi/linux/capability.h"""
CAP_SYSLOG = 34
"""Seeing addresses in /proc/kallsyms (kptr_restrict)."""
ALL_CAPABILITIES = frozenset(range(64))
"""As many as there may be: they are bits of two words."""

_VERSION_3 = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_PR_SET_NO_NEW_PRIVS = 38  # include/uapi/linux/prctl.h


class _Header(ct.Structure):
    """struct __user_cap_header_struct"""

    _fields_ = (("version", ct.c_uint32), ("pid", ct.c_int))


class _Sets(ct.Structure):
    """struct __user_cap_data_struct, of which there are two: the low and the high 32 bits"""

    _fields_ = (
        ("effective", ct.c_uint32),
        ("permitted", ct.c_uint32),
        ("inheritable", ct.c_uint32),
    )


def keep_only(capabilities: Collection[int]) -> None:
    """Keep of our capabilities at most these, and never gain any again, nor let a child do so.

    Capabilities belong to a thread, so there must be no other yet. Raises OSError, and
    RuntimeError if there are other threads.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads when privileges are given up")
    libc = ct.CDLL(None, use_errno=True)
    header, held = _Header(_VERSION_3, 0), (_Sets * 2)()
    _check(libc.capget(ct.byref(header), held))
    kept = sum(1 << number for number in capabilities)
    for index, sets in enumerate(held):
        sets.permitted &= kept >> 32 * index & 0xFFFFFFFF
        sets.effective, sets.inheritable = sets.permitted, 0
    _check(libc.capset(ct.byref(header), held))
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ct.get_errno(), os.strerror(ct.get_errno()))
