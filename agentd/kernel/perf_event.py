"""Opens the perf events that a BPF program's perf buffers are, one a CPU. Needs privilege.

The kernel frees a perf buffer with its last mapping, so whoever opens them keeps them mapped until
the next one has mapped them as well (kernel/events/core.c, perf_mmap_close).
"""

from __future__ import annotations

import ctypes as ct
import fcntl
import mmap
import os

from agentd.kernel.syscalls import perf_event_open

_PERF_TYPE_SOFTWARE = 1  # include/uapi/linux/perf_event.h
_PERF_COUNT_SW_BPF_OUTPUT = 10
_PERF_SAMPLE_RAW = 1 << 10
_WATERMARK = 1 << 14  # perf_event_attr.watermark: wake up by bytes, not by records
_PERF_EVENT_IOC_ENABLE = 0x2400

WAKEUP_FRACTION = 8
"""A buffer that is full to one part in so many wakes its reader; a timer tells of less."""


class _Attributes(ct.Structure):
    """struct perf_event_attr as it was at first (PERF_ATTR_SIZE_VER0)"""

    _fields_ = (
        ("type", ct.c_uint32),
        ("size", ct.c_uint32),
        ("config", ct.c_uint64),
        ("sample_period", ct.c_uint64),
        ("sample_type", ct.c_uint64),
        ("read_format", ct.c_uint64),
        ("flags", ct.c_uint64),
        ("wakeup_watermark", ct.c_uint32),
        ("bp_type", ct.c_uint32),
        ("bp_addr", ct.c_uint64),
    )


def open_event(cpu: int, data_bytes: int) -> tuple[int, mmap.mmap]:
    """The fd of a CPU's event, and its mapping. Raises OSError."""
    attributes = _Attributes(
        type=_PERF_TYPE_SOFTWARE,
        size=ct.sizeof(_Attributes),
        config=_PERF_COUNT_SW_BPF_OUTPUT,
        sample_period=1,
        sample_type=_PERF_SAMPLE_RAW,
        flags=_WATERMARK,
        wakeup_watermark=data_bytes // WAKEUP_FRACTION,
    )
    fd = perf_event_open(attributes, cpu)
    try:
        mapping = map_event(fd, data_bytes)
        fcntl.ioctl(fd, _PERF_EVENT_IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd, mapping


def map_event(fd: int, data_bytes: int) -> mmap.mmap:
    """The page of positions and the data behind it, shared with the kernel."""
    return mmap.mmap(fd, mmap.PAGESIZE + data_bytes)
