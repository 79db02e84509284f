"""agentd.sinks.stdout"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from pathlib import Path

import pytest

from agentd.sinks.channel import SinkClosedError, SinkFailedError
from agentd.sinks.stdout import Stdout

DATA = memoryview(b"x" * 400_000)


def test_a_file_gets_all(tmp_path: Path) -> None:
    """A regular file takes a payload whole."""
    file = tmp_path / "out"
    with file.open("wb") as out:
        channel = Stdout(out.fileno())
        assert channel.send(DATA) == len(DATA)
        channel.close()
    assert file.read_bytes() == bytes(DATA)


def test_a_full_pipe_takes_a_part_and_then_nothing() -> None:
    """A pipe takes what it holds; then the writer is told to wait, and does not."""
    reading, writing = os.pipe()
    channel = Stdout(writing)
    taken = channel.send(DATA)
    assert 0 < taken < len(DATA)
    with pytest.raises(BlockingIOError):
        channel.send(DATA)
    assert len(os.read(reading, 1 << 20)) == taken
    assert channel.send(DATA) > 0
    channel.close()
    for fd in (reading, writing):
        os.close(fd)


def test_what_cannot_be_opened_again_does_not_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe of another user, say, is written as far as it has room."""

    def refuse(*arguments: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    reading, writing = os.pipe()
    channel = Stdout(writing)
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            taken += channel.send(DATA)
    assert os.get_blocking(writing)
    assert len(os.read(reading, 1 << 20)) == taken > 0
    channel.close()
    for fd in (reading, writing):
        os.close(fd)


def test_others_who_share_the_file_still_block() -> None:
    """O_NONBLOCK is not left behind on the caller's open file."""
    reading, writing = os.pipe()
    channel = Stdout(writing)
    channel.send(DATA)
    assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_NONBLOCK
    channel.close()
    for fd in (reading, writing):
        os.close(fd)


def test_a_reader_that_left_is_told() -> None:
    """A broken pipe is a SinkClosedError."""
    reading, writing = os.pipe()
    channel = Stdout(writing)
    os.close(reading)
    with pytest.raises(SinkClosedError):
        channel.send(DATA)
    channel.close()
    os.close(writing)


def test_a_full_disk_is_told() -> None:
    """Any other failure is a SinkFailedError with the reason."""
    with Path("/dev/full").open("wb") as full:
        channel = Stdout(full.fileno())
        with pytest.raises(SinkFailedError, match="No space left"):
            channel.send(DATA)
        channel.close()


def test_a_socket_is_written_without_blocking() -> None:
    """A socket (journald's, say) takes what it holds, and stays as it is for others."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Stdout(theirs.fileno())
        assert 0 < channel.send(DATA) < len(DATA)
        with pytest.raises(BlockingIOError):
            channel.send(DATA)
        assert theirs.getblocking()
        channel.close()
