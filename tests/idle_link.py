"""A link of a raw tracepoint whose program does nothing."""

from __future__ import annotations

import ctypes as ct
import os
import struct

from agentd.kernel.syscalls import _BPF, _call

_PROG_LOAD, _RAW_TRACEPOINT_OPEN, _RAW_TRACEPOINT = 5, 17, 17  # include/uapi/linux/bpf.h
_RETURN_0 = struct.pack("<BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)


def idle_link(tracepoint: str) -> int:
    """Its fd. Raises OSError."""
    code, words = ct.create_string_buffer(_RETURN_0), ct.create_string_buffer(b"GPL")
    load = struct.pack("<IIQQ", _RAW_TRACEPOINT, 2, ct.addressof(code), ct.addressof(words))
    program_fd = _bpf(_PROG_LOAD, load)
    name = ct.create_string_buffer(tracepoint.encode())
    try:
        return _bpf(_RAW_TRACEPOINT_OPEN, struct.pack("<QI", ct.addressof(name), program_fd))
    finally:
        os.close(program_fd)


def _bpf(command: int, attributes: bytes) -> int:
    padded = attributes.ljust(128, b"\0")
    return _call(_BPF, command, padded, len(padded))
