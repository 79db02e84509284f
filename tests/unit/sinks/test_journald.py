"""agentd.sinks.journald"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from agentd.sinks.journald import JournalChannel
from agentd.sinks.writer import SinkFailedError

ENTRY = memoryview(b"MESSAGE=hello\n")


def _journald(path: Path) -> socket.socket:
    """A socket as journald has."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    return sock


def test_entries_arrive_one_a_datagram(tmp_path: Path) -> None:
    """Each payload is a datagram."""
    with _journald(tmp_path / "socket") as journald:
        channel = JournalChannel(str(tmp_path / "socket"))
        assert channel.send(ENTRY) == channel.send(ENTRY) == len(ENTRY)
        assert journald.recv(100) == journald.recv(100) == bytes(ENTRY)
        channel.close()


def test_a_large_entry_arrives_as_a_sealed_file(tmp_path: Path) -> None:
    """What no datagram holds comes as a file descriptor, which cannot be changed any more."""
    large = memoryview(b"MESSAGE=" + b"x" * (32 << 20) + b"\n")
    with _journald(tmp_path / "socket") as journald:
        channel = JournalChannel(str(tmp_path / "socket"))
        assert channel.send(large) == len(large)
        data, fds, _, _ = socket.recv_fds(journald, 100, 1)
        assert (data, os.fstat(fds[0]).st_size) == (b"", len(large))
        with pytest.raises(PermissionError):
            os.pwrite(fds[0], b"y", 0)
        os.close(fds[0])
        channel.close()


def test_a_journald_that_does_not_read_blocks_nobody(tmp_path: Path) -> None:
    """When its queue is full the sender is told to wait, and nothing is lost."""
    with _journald(tmp_path / "socket") as journald:
        channel = JournalChannel(str(tmp_path / "socket"))
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while channel.send(ENTRY):
                sent += 1
        received = [journald.recv(100) for _ in range(sent)]
        assert received == [bytes(ENTRY)] * sent
        assert channel.send(ENTRY)
        channel.close()


def test_a_journald_that_comes_back_is_found(tmp_path: Path) -> None:
    """Without journald it is unreachable, before and after; a new one is used."""
    path = tmp_path / "socket"
    channel = JournalChannel(str(path))
    with pytest.raises(SinkFailedError, match=str(path)):
        channel.send(ENTRY)
    for _ in range(2):
        with _journald(path) as journald:
            assert channel.send(ENTRY)
            assert journald.recv(100) == bytes(ENTRY)
        path.unlink()
        with pytest.raises(SinkFailedError):
            channel.send(ENTRY)
    channel.close()
