"""agentd.kernel.counters, handover and program"""

from __future__ import annotations

import os
import socket
import struct

from agentd.kernel import handover
from agentd.kernel.counters import Counters
from agentd.kernel.handover import Failure, Handover
from agentd.kernel.program import CgroupFilter, Settings
from tests.records import WIRE

SETTINGS = Settings(4, 8192, 4096, CgroupFilter(77, 2))


def test_counters_by_kind_and_cpu() -> None:
    """Each counter is found at its place in the map's memory, for every CPU."""
    layout = WIRE.layout("agentd_counters")
    words = len(layout.members)
    fd = os.memfd_create("counters")
    table = b"".join(
        struct.pack(f"={words}Q", *range(cpu * 100, cpu * 100 + words)) for cpu in (0, 1)
    )
    os.write(fd, table.ljust(4096, b"\0"))
    counters = Counters(fd, layout, 2, 3)
    now = counters.read()
    counters.close()
    names = list(layout.names)
    assert now.seq == (names.index("seq"), 100 + names.index("seq"))
    first = names.index("failures_0")
    assert now.failures == tuple((first + k, 100 + first + k) for k in range(3))
    assert now.threads == (names.index("threads"), 100 + names.index("threads"))


def test_settings_survive_the_socket() -> None:
    """What the daemon asks is what the loader reads."""
    assert handover.decode_settings(handover.encode_settings(SETTINGS)) == SETTINGS
    without = Settings(1, 4096, 4096, None)
    assert handover.decode_settings(handover.encode_settings(without)) == without


def test_a_handover_brings_its_fds() -> None:
    """The fds arrive, in their places, and work."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fds = [os.memfd_create(str(i)) for i in range(5)]
    with ours, theirs:
        sent = Handover(fds[0], fds[1], tuple(fds[2:]), "0.26", True)
        handover.send_handover(theirs, sent)
        got = handover.receive(ours)
    assert isinstance(got, Handover)
    assert (got.bcc_version, got.from_btf) == ("0.26", True)
    names = [
        os.readlink(f"/proc/self/fd/{fd}") for fd in (got.events_fd, got.counters_fd, *got.link_fds)
    ]
    assert [name.split(":")[1].split()[0] for name in names] == ["0", "1", "2", "3", "4"]
    for fd in (*fds, got.events_fd, got.counters_fd, *got.link_fds):
        os.close(fd)


def test_a_failure_is_told() -> None:
    """What went wrong arrives as it was said; silence is None."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            handover.send_failure(theirs, Failure("compile", "no"))
        assert handover.receive(ours) == Failure("compile", "no")
        assert handover.receive(ours) is None
