"""What the loader and the daemon say to each other, over one socketpair.

The daemon sends one JSON message with the settings. The loader answers with one JSON message
that carries the file descriptors (SCM_RIGHTS), or says what went wrong, and exits.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from typing import Any

from agentd.kernel.program import CgroupFilter, Settings

MESSAGE_BYTES_MAX = 1 << 16
_FDS_MAX = 64

TRACEPOINTS = ("sched_process_fork", "sched_process_exec", "sched_process_exit")


@dataclass(frozen=True, slots=True)
class Handover:
    """The loader's answer when all went well. The fds now belong to the receiver.

    The programs stay attached for as long as the link fds are open.
    """

    events_fd: int
    counters_fd: int
    link_fds: tuple[int, ...]
    bcc_version: str
    from_btf: bool
    """Offsets came from BTF, not from kernel headers."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The loader's answer when it could not: one of the kinds below, and what was said."""

    kind: str
    message: str


FAILED_PERMISSION = "permission"
FAILED_NO_BCC = "no_bcc"
FAILED_NO_BTF = "no_btf"
FAILED_COMPILE = "compile"
FAILED_LOAD = "load"


def encode_settings(settings: Settings) -> bytes:
    """The daemon's request."""
    return json.dumps(asdict(settings)).encode()


def decode_settings(message: bytes) -> Settings:
    """The daemon's request, as the loader reads it."""
    values = json.loads(message)
    cgroup = values.pop("cgroup")
    return Settings(**values, cgroup=CgroupFilter(**cgroup) if cgroup else None)


def send_handover(sock: socket.socket, handover: Handover) -> None:
    """Send the fds and what goes with them."""
    fds = [handover.events_fd, handover.counters_fd, *handover.link_fds]
    body = {"bcc_version": handover.bcc_version, "from_btf": handover.from_btf}
    socket.send_fds(sock, [json.dumps(body).encode()], fds)


def send_failure(sock: socket.socket, failure: Failure) -> None:
    """Send what went wrong."""
    sock.send(json.dumps({"failure": asdict(failure)}).encode())


def receive(sock: socket.socket) -> Handover | Failure | None:
    """The loader's answer; None when it ended without one."""
    try:
        message, fds, _flags, _address = socket.recv_fds(sock, MESSAGE_BYTES_MAX, _FDS_MAX)
    except ConnectionResetError:  # it ended before it had read its orders
        return None
    if not message:
        return None
    body: dict[str, Any] = json.loads(message)
    if "failure" in body:
        return Failure(**body["failure"])
    events_fd, counters_fd, *link_fds = fds
    return Handover(events_fd, counters_fd, tuple(link_fds), **body)
