"""Memory that one process fills and another reads: whole, as it was written, or not at all.

The first line is the checksum of the rest. It is written last, so memory whose writer was ended
halfway has none.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from io import BufferedReader

_LINE = b"%08x\n"
_LINE_BYTES = 9
_PIECE_BYTES = 1 << 20


class DamagedError(Exception):
    """The descriptor is none of such memory, or its content has changed."""


def write(name: str, parts: Iterable[bytes]) -> int:
    """Give a memfd with these parts, one behind the other."""
    fd = os.memfd_create(name)
    checksum = 0
    with open(fd, "wb", closefd=False) as file:
        file.write(bytes(_LINE_BYTES))
        for part in parts:
            file.write(part)
            checksum = zlib.crc32(part, checksum)
    os.pwrite(fd, _LINE % checksum, 0)
    return fd


def read(fd: int) -> BufferedReader:
    """Give a file at the beginning of the content, which owns the descriptor from now on.

    Raises DamagedError; the descriptor is closed then.
    """
    try:
        if not os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
            raise DamagedError("is no memory")
        line, checksum, place = os.pread(fd, _LINE_BYTES, 0), 0, _LINE_BYTES
        while piece := os.pread(fd, _PIECE_BYTES, place):
            checksum = zlib.crc32(piece, checksum)
            place += len(piece)
        if line != _LINE % checksum:
            raise DamagedError("has a wrong checksum")
        os.lseek(fd, _LINE_BYTES, os.SEEK_SET)
    except (OSError, DamagedError) as error:
        os.close(fd)
        raise DamagedError(str(error)) from None
    return open(fd, "rb")
