"""agentd.kernel.loader_protocol"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import Any

import pytest

from agentd.host.cgroup_filter import CgroupFilter
from agentd.kernel import loader_protocol
from agentd.kernel.compile import Settings
from agentd.kernel.loader_protocol import Failure, Handover

SETTINGS = Settings(
    cpus=4,
    page_bytes=4096,
    cgroup=CgroupFilter(77, 2),
    transport="auto",
    ring_bytes=8192,
    perf_bytes_per_cpu=4096,
)


def test_settings_survive_the_socket() -> None:
    """What the daemon asks is what the loader reads."""
    assert loader_protocol.decode_settings(loader_protocol.encode_settings(SETTINGS)) == SETTINGS
    without = replace(SETTINGS, cgroup=None)
    assert loader_protocol.decode_settings(loader_protocol.encode_settings(without)) == without


@pytest.mark.parametrize("cpus", [0, 1, 191, 192, 193, 500])
def test_a_handover_brings_its_fds(cpus: int) -> None:
    """The fds arrive, in their places, on a host of any size; so does what goes with them."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds = [os.memfd_create(str(i)) for i in range(11)]
    perf_fds = tuple(fds[10:11] * cpus)
    sent = Handover(
        fds[0], fds[1], fds[2], tuple(fds[3:7]), tuple(fds[7:10]), perf_fds, "perfbuf", "because",
        "0.26", True,
    )  # fmt: skip
    with ours, theirs:
        loader_protocol.send_handover(theirs, sent)
        got = loader_protocol.receive(ours)
    assert isinstance(got, Handover)
    received = [got.events_fd, got.counters_fd, got.cgroups_fd, *got.link_fds]
    received += [*got.program_fds, *got.perf_fds]
    places: dict[str, Any] = {
        "events_fd": 0, "counters_fd": 0, "cgroups_fd": 0, "link_fds": (), "program_fds": (),
        "perf_fds": (),
    }  # fmt: skip
    assert replace(got, **places) == replace(sent, **places)
    names = [os.readlink(f"/proc/self/fd/{fd}") for fd in received]
    numbers = [name.split(":")[1].split()[0] for name in names]
    assert numbers == [*"0123456789", *["10"] * cpus]
    for fd in (*fds, *received):
        os.close(fd)


def test_a_failure_is_told() -> None:
    """What went wrong arrives as it was said; silence is None."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            loader_protocol.send_failure(theirs, Failure("compile", "no"))
        assert loader_protocol.receive(ours) == Failure("compile", "no")
        assert loader_protocol.receive(ours) is None


@pytest.mark.parametrize(
    "message",
    [
        b"", b"{", b"null", b"5", b"[]", b"{}", b'{"failure": null}', b'{"failure": {"kind": 1}}',
        b'{"failure": {"kind": "load", "message": "x", "more": 1}}',
        b'{"failure": {"kind": "unheard of", "message": "x"}}', b'{"fds": "2"}', b'{"fds": 1}',
        b'{"fds": 1, "transport": "ringbuf"}', b'{"fds": 99}', b"[" * 60000, b"\xff\xfe",
    ],
    ids=lambda message: repr(message[:24]),
)  # fmt: skip
def test_what_is_no_answer_counts_as_none(message: bytes) -> None:
    """As if the loader had ended without one. Descriptors that came with it are closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    sent, seen = os.pipe()
    os.set_blocking(sent, False)
    with ours:
        with theirs:
            if message:
                socket.send_fds(theirs, [message], [seen])
        os.close(seen)
        assert loader_protocol.receive(ours) is None
    assert os.read(sent, 1) == b""  # nobody has the other end any more
    os.close(sent)
