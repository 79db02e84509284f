"""The system calls that neither Python nor a library of the host offers as they are needed."""

from __future__ import annotations

import ctypes as ct
import errno
import os
import platform

_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}

_BPF_MAP_CREATE = 0  # include/uapi/linux/bpf.h
_BPF_PROG_TEST_RUN = 10
_BPF_MAP_TYPE_RINGBUF = 27

_ANY_PROCESS = -1
_NO_GROUP = -1
_PERF_FLAG_FD_CLOEXEC = 1 << 3  # include/uapi/linux/perf_event.h


class _MapAttributes(ct.Structure):
    """The head of union bpf_attr as BPF_MAP_CREATE reads it"""

    _fields_ = (
        ("map_type", ct.c_uint32),
        ("key_size", ct.c_uint32),
        ("value_size", ct.c_uint32),
        ("max_entries", ct.c_uint32),
        ("map_flags", ct.c_uint32),
    )


def ringbuf_map(data_bytes: int) -> int:
    """The fd of a new BPF ring buffer. Raises OSError; EINVAL where the kernel has none."""
    attributes = _MapAttributes(_BPF_MAP_TYPE_RINGBUF, 0, 0, data_bytes, 0)
    return _call(_BPF, _BPF_MAP_CREATE, ct.byref(attributes), ct.sizeof(attributes))


class _RunAttributes(ct.Structure):
    """The head of union bpf_attr as BPF_PROG_TEST_RUN reads it"""

    _fields_ = (
        ("prog_fd", ct.c_uint32),
        ("retval", ct.c_uint32),
        ("data_size_in", ct.c_uint32),
        ("data_size_out", ct.c_uint32),
        ("data_in", ct.c_uint64),
        ("data_out", ct.c_uint64),
        ("repeat", ct.c_uint32),
        ("duration", ct.c_uint32),
        ("ctx_size_in", ct.c_uint32),
        ("ctx_size_out", ct.c_uint32),
        ("ctx_in", ct.c_uint64),
        ("ctx_out", ct.c_uint64),
        ("flags", ct.c_uint32),
        ("cpu", ct.c_uint32),
    )


def run_program(fd: int) -> None:
    """Run a raw tracepoint's program once, on this CPU. Raises OSError; EINVAL before 5.10."""
    attributes = _RunAttributes(prog_fd=fd)
    _call(_BPF, _BPF_PROG_TEST_RUN, ct.byref(attributes), ct.sizeof(attributes))


def perf_event_open(attributes: ct.Structure, cpu: int) -> int:
    """The fd of a perf event of all processes on one CPU. Raises OSError."""
    call = (ct.byref(attributes), _ANY_PROCESS, cpu, _NO_GROUP, _PERF_FLAG_FD_CLOEXEC)
    return _call(_PERF_EVENT_OPEN, *call)


def _call(numbers: dict[str, int], *arguments: object) -> int:
    number = numbers.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"no number for this system call on {platform.machine()}")
    result: int = ct.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        raise OSError(ct.get_errno(), os.strerror(ct.get_errno()))
    return result
