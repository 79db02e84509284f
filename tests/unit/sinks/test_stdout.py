"""agentd.sinks.stdout"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agentd.sinks.stdout import Stdout
from agentd.sinks.writer import SinkClosedError, SinkFailedError

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


@pytest.mark.parametrize(
    ("before", "flags", "expected"),
    [
        (b"", os.O_APPEND, b"new\n"),
        (b"whole\n", os.O_APPEND, b"whole\nnew\n"),
        (b'{"half', os.O_APPEND, b'{"half\nnew\n'),
        (b"old old old", 0, b"new\nold old"),
        (b"old\n", os.O_TRUNC, b"new\n"),
    ],
)
def test_a_file_is_begun_on_a_line_of_its_own(
    tmp_path: Path, before: bytes, flags: int, expected: bytes
) -> None:
    """Half a line that somebody left is ended; where there is none, nothing is written."""
    file = tmp_path / "out"
    file.write_bytes(before)
    fd = os.open(file, os.O_WRONLY | flags)
    channel = Stdout(fd)
    channel.send(memoryview(b"new\n"))
    channel.send(memoryview(b""))
    channel.close()
    os.close(fd)
    assert file.read_bytes()[: len(expected)] == expected


def test_a_file_that_goes_on_where_a_shell_was(tmp_path: Path) -> None:
    """What counts is where writing goes on, not where the file ends."""
    file = tmp_path / "out"
    file.write_bytes(b"ab\ncd\n")
    fd = os.open(file, os.O_WRONLY)
    os.lseek(fd, 2, os.SEEK_SET)
    channel = Stdout(fd)
    channel.send(memoryview(b"new\n"))
    channel.close()
    os.close(fd)
    assert file.read_bytes() == b"ab\nnew\n"


def test_what_cannot_be_read_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file that is another user's, an empty line is better than two that are glued."""

    def refuse(*arguments: object) -> int:
        raise PermissionError

    file = tmp_path / "out"
    file.write_bytes(b"whole\n")
    with file.open("ab") as out:
        monkeypatch.setattr(os, "open", refuse)
        channel = Stdout(out.fileno())
        monkeypatch.undo()
        channel.send(memoryview(b"new\n"))
        channel.close()
    assert file.read_bytes() == b"whole\n\nnew\n"


@pytest.mark.parametrize("succeeds", [True, False])
@pytest.mark.parametrize("make", [os.pipe, socket.socketpair], ids=["pipe", "socket"])
def test_a_successor_ends_what_cannot_be_known(
    make: Callable[[], tuple[int | socket.socket, int | socket.socket]], succeeds: bool
) -> None:
    """Into a pipe or a socket only a successor writes a newline first, and only one."""
    ends = make()
    reading, writing = (end if isinstance(end, int) else end.detach() for end in ends)
    channel = Stdout(writing, succeeds=succeeds)
    channel.send(memoryview(b"new\n"))
    channel.send(memoryview(b"er\n"))
    assert os.read(reading, 100) == b"\n" * succeeds + b"new\ner\n"
    channel.close()
    for fd in (reading, writing):
        os.close(fd)


def test_a_newline_that_does_not_fit_is_owed() -> None:
    """Where there is no room for it, it is written when there is, before anything else."""
    reading, writing = os.pipe()
    filling = Stdout(writing)
    with contextlib.suppress(BlockingIOError):
        while filling.send(DATA):
            pass
    channel = Stdout(writing, succeeds=True)
    with pytest.raises(BlockingIOError):
        channel.send(memoryview(b"new\n"))
    os.set_blocking(reading, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(reading, 1 << 20):
            pass
    channel.send(memoryview(b"new\n"))
    assert os.read(reading, 100) == b"\nnew\n"
    for open_ in (channel, filling):
        open_.close()
    for fd in (reading, writing):
        os.close(fd)


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """RLIMIT_FSIZE is a failure like a full disk, and no signal that ends agentd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "out").open("wb") as out:
        channel = Stdout(out.fileno())
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        try:
            assert channel.send(DATA) == 10
            with pytest.raises(SinkFailedError, match="File too large"):
                channel.send(DATA)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        channel.close()
