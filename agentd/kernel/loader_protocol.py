"""What the loader and the daemon say to each other, over one socketpair.

The daemon sends one JSON message with the settings. The loader answers with one JSON message
that carries the file descriptors (SCM_RIGHTS), or says what went wrong, and exits.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Any

from agentd.host.cgroup_filter import CgroupFilter
from agentd.kernel.compile import Settings

MESSAGE_BYTES_MAX = 1 << 16
_FDS_MAX = 200
"""In one message; the kernel takes 253 (SCM_MAX_FD)."""

TRACEPOINTS = {
    "sched_process_fork": "on_fork",
    "sched_process_exec": "on_exec",
    "sched_process_exit": "on_exit",
}
"""The raw tracepoints, and the function in ``bpf/agentd.bpf.c`` for each."""

LINKS = {**TRACEPOINTS, "cgroup_mkdir": "on_cgroup_mkdir"}
"""The same with the one that is no source of events."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The loader's answer when all went well. The fds now belong to the receiver.

    The programs stay attached for as long as the link fds are open.
    """

    events_fd: int
    counters_fd: int
    cgroups_fd: int
    link_fds: tuple[int, ...]
    """In the order of LINKS."""
    program_fds: tuple[int, ...]
    """Of the programs themselves, in the order of TRACEPOINTS: what they cost is read there."""
    perf_fds: tuple[int, ...]
    """One a CPU that was online, for ``perfbuf``. They must be mapped before the loader goes."""
    transport: str
    """``ringbuf`` or ``perfbuf``."""
    transport_reason: str
    bcc_version: str
    from_btf: bool
    """Offsets came from BTF, not from kernel headers."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The loader's answer when it could not: one of the kinds below, and what was said."""

    kind: str
    message: str
    hint: str = ""
    """The way out, where the loader knows it."""


FAILED_PERMISSION = "permission"
FAILED_REQUIREMENT = "requirement"
FAILED_COMPILE = "compile"
FAILED_LOAD = "load"
FAILED_PERF = "perf"
KINDS = (FAILED_PERMISSION, FAILED_REQUIREMENT, FAILED_COMPILE, FAILED_LOAD, FAILED_PERF)


def encode_settings(settings: Settings) -> bytes:
    """The daemon's request."""
    return json.dumps(asdict(settings)).encode()


def decode_settings(message: bytes) -> Settings:
    """The daemon's request, as the loader reads it."""
    values = json.loads(message)
    cgroup = values.pop("cgroup")
    return Settings(**values, cgroup=CgroupFilter(**cgroup) if cgroup else None)


def send_handover(sock: socket.socket, handover: Handover) -> None:
    """Send the fds and what goes with them, in as many messages as the fds need."""
    fds = [handover.events_fd, handover.counters_fd, handover.cgroups_fd, *handover.link_fds]
    fds += [*handover.program_fds, *handover.perf_fds]
    body = {
        "fds": len(fds),
        "transport": handover.transport,
        "transport_reason": handover.transport_reason,
        "bcc_version": handover.bcc_version,
        "from_btf": handover.from_btf,
    }
    for start in range(0, len(fds), _FDS_MAX):
        socket.send_fds(sock, [json.dumps(body).encode()], fds[start : start + _FDS_MAX])


def send_failure(sock: socket.socket, failure: Failure) -> None:
    """Send what went wrong."""
    sock.send(json.dumps({"failure": asdict(failure)}).encode())


def receive(sock: socket.socket) -> Handover | Failure | None:
    """The loader's answer, once its first message is there; None when it ended without one.

    What is no answer counts as none: the loader has ended, or will, and its words are in its log.
    """
    fds: list[int] = []
    try:
        answer = _received(sock, fds)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        answer = None
    if not isinstance(answer, Handover):
        for fd in fds:
            os.close(fd)
    return answer


def _received(sock: socket.socket, fds: list[int]) -> Handover | Failure | None:
    """The same; ``fds`` are those that have come."""
    body = _receive_part(sock, fds)
    if body is None:
        return None
    if "failure" in body:
        failure = Failure(**{name: str(value) for name, value in body["failure"].items()})
        return failure if failure.kind in KINDS else None
    count = body.pop("fds")
    while len(fds) < count:
        if _receive_part(sock, fds) is None:
            return None
    events_fd, counters_fd, cgroups_fd, *rest = fds
    links, rest = tuple(rest[: len(LINKS)]), rest[len(LINKS) :]
    programs, perf = tuple(rest[: len(TRACEPOINTS)]), tuple(rest[len(TRACEPOINTS) :])
    return Handover(events_fd, counters_fd, cgroups_fd, links, programs, perf, **body)


def _receive_part(sock: socket.socket, fds: list[int]) -> dict[str, Any] | None:
    try:
        message, more, _flags, _address = socket.recv_fds(sock, MESSAGE_BYTES_MAX, _FDS_MAX)
    except ConnectionResetError:  # it ended before it had read its orders
        return None
    fds += more
    return json.loads(message) if message else None
