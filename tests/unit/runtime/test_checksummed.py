"""agentd.runtime.checksummed"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.runtime import checksummed
from agentd.runtime.checksummed import DamagedError

PARTS = [b"one", b"", bytes(3 << 20), b"two"]


def test_what_was_written_is_read() -> None:
    """All of it, whatever was read of the descriptor before."""
    fd = checksummed.write("test", PARTS)
    os.lseek(fd, 77, os.SEEK_SET)
    with checksummed.read(fd) as file:
        assert file.read() == b"".join(PARTS)


def test_nothing_is_something() -> None:
    """No parts are empty content, which is whole."""
    with checksummed.read(checksummed.write("test", [])) as file:
        assert file.read() == b""


@pytest.mark.parametrize("place", [0, 8, 9, 10, 1 << 20, -1])
def test_each_changed_byte_is_seen(place: int) -> None:
    """Of the checksum, of the content, at its end."""
    fd = checksummed.write("test", PARTS)
    place %= os.fstat(fd).st_size
    (before,) = os.pread(fd, 1, place)
    os.pwrite(fd, bytes([before ^ 1]), place)
    with pytest.raises(DamagedError, match="checksum"):
        checksummed.read(fd)


@pytest.mark.parametrize("size", [0, 1, 9, 12, -1])
def test_a_part_of_it_is_none(size: int) -> None:
    """Its writer may have been ended halfway, or its memory cut."""
    fd = checksummed.write("test", PARTS)
    os.ftruncate(fd, size % os.fstat(fd).st_size)
    with pytest.raises(DamagedError, match="checksum"):
        checksummed.read(fd)


def test_who_is_ended_before_the_end_leaves_none() -> None:
    """The checksum is written last."""
    memories = _memories()
    with pytest.raises(KeyboardInterrupt):
        checksummed.write("test", _interrupted())
    (fd,) = _memories() - memories
    with pytest.raises(DamagedError, match="checksum"):
        checksummed.read(fd)


def _interrupted() -> Iterator[bytes]:
    yield b"begun"
    raise KeyboardInterrupt


def _memories() -> set[int]:
    """Descriptors of memory that this process has."""
    links = ((int(name), f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
    return {fd for fd, link in links if os.path.lexists(link) and "memfd:" in os.readlink(link)}


def test_another_descriptor_is_none(tmp_path: Path) -> None:
    """A pipe, a socket, a folder, a file. It is closed, as what was damaged is."""
    (tmp_path / "file").write_bytes(b"00000000\n")
    one, other = socket.socketpair()
    with other:
        fds = [one.detach(), os.open(tmp_path, os.O_RDONLY), *os.pipe()]
        fds.append(os.open(tmp_path / "file", os.O_RDONLY))
        for fd in fds:
            with pytest.raises(DamagedError, match="no memory"):
                checksummed.read(fd)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)
