"""What the daemon and its helpers send each other: one msgpack value a packet, of bounded length.

A request: ``[job, seconds, arguments]``, together with the worker's end of a socket pair. Answers:
``["part", value]`` as often as the job likes, and at the end ``["done", value]`` or
``["failed", text]``. A socket that ends without either says that the worker has died.
"""

from __future__ import annotations

import socket
from typing import Any

import msgpack

from agentd.core.text import clean

FRAME_BYTES_MAX = 1 << 16
"""A process with the longest arguments and paths takes 25 KB."""
PART, DONE, FAILED = "part", "done", "failed"
_TEXT_MAX = 300


def pack(value: Any) -> bytes:
    """One packet. Raises ValueError if it would be too long, or has text that is no UTF-8."""
    packet = bytes(msgpack.packb(value))
    if len(packet) > FRAME_BYTES_MAX:
        raise ValueError(f"a packet of {len(packet)} bytes")
    return packet


def unpack(packet: bytes) -> Any:
    """The value of a packet. Raises ValueError for anything that is none."""
    if len(packet) > FRAME_BYTES_MAX:
        raise ValueError("a packet that is too long")
    try:
        return msgpack.unpackb(packet, use_list=False)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise ValueError(f"not a packet: {error}") from None


def read_answer(packet: bytes) -> tuple[str, Any]:
    """Which answer it is, and its value. Raises ValueError."""
    answer = unpack(packet)
    if not isinstance(answer, tuple) or len(answer) != 2 or answer[0] not in (PART, DONE, FAILED):
        raise ValueError("not an answer")
    kind, value = answer
    return kind, str(value)[:_TEXT_MAX] if kind == FAILED else value


def failure(text: str) -> bytes:
    """The answer that says why there is no other."""
    return pack([FAILED, clean(text[:_TEXT_MAX])])


def request(job: str, seconds: float, arguments: Any) -> bytes:
    """A request. Raises ValueError if its arguments are too many."""
    return pack([job, seconds, arguments])


def read_request(packet: bytes) -> tuple[str, float, Any]:
    """Job, seconds that it may take, arguments. Raises ValueError."""
    wanted = unpack(packet)
    if not isinstance(wanted, tuple) or len(wanted) != 3:
        raise ValueError("not a request")
    job, seconds, arguments = wanted
    if not isinstance(job, str) or not isinstance(seconds, float) or not 0 < seconds < 1e6:
        raise ValueError("not a request")
    return job, seconds, arguments


def receive_request(control: socket.socket) -> tuple[bytes, list[int]]:
    """A packet and the descriptors that came with it; none at the end. Raises OSError."""
    packet, fds, _flags, _address = socket.recv_fds(control, FRAME_BYTES_MAX + 1, 1)
    return packet, list(fds)
