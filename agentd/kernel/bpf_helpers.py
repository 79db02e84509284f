"""Which functions this kernel offers to the programs: bpf-helpers(7), through libbpf's probes."""

from __future__ import annotations

import ctypes as ct
import os

from agentd.kernel.btf import libbpf

RAW_TRACEPOINT = 17  # enum bpf_prog_type, include/uapi/linux/bpf.h

NEEDED = {
    "map_lookup_elem": 1,
    "get_smp_processor_id": 8,
    "get_current_task": 35,
    "probe_read_user": 112,
    "probe_read_kernel": 113,
    "probe_read_kernel_str": 115,
}
"""Names and numbers as enum bpf_func_id has them (include/uapi/linux/bpf.h)."""
OF_THE_RING = {
    "ringbuf_reserve": 131,
    "ringbuf_submit": 132,
    "ringbuf_output": 130,
    "ringbuf_query": 134,
    "ktime_get_boot_ns": 125,
}
"""Where one is missing there are perf buffers."""
OF_PERF_BUFFERS = {"perf_event_output": 25, "ktime_get_ns": 5}
OF_TYPED_READS = {"get_current_task_btf": 158}
"""Where it is missing, members are read by a call each, and the programs take twice the time."""
EVERY = NEEDED | OF_THE_RING | OF_PERF_BUFFERS | OF_TYPED_READS


def offers(number: int) -> bool:
    """Whether the kernel knows a helper, and lets a raw tracepoint's program call it.

    It takes the privilege to load a program: without it the answer is yes, whatever the kernel.
    Raises OSError if that cannot be found out.
    """
    probe = libbpf().libbpf_probe_bpf_helper
    probe.argtypes = [ct.c_int, ct.c_int, ct.c_void_p]
    answer = int(probe(RAW_TRACEPOINT, number, None))
    if answer < 0:
        raise OSError(-answer, os.strerror(-answer))
    return bool(answer)
