"""Files that an operator names: regular ones, opened without waiting and without side effects.

A FIFO, a device or a file of /proc may block, do something when it is opened, or never end.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

FILE_MAX_BYTES = 256 << 10
"""Many times what a configuration, a web-config or a chain of certificates takes."""


_NO_PATH = "no path has a NUL or a lone surrogate in it"


class UnreadableFileError(Exception):
    """Says why a file cannot be read, in a few words."""


class UnwritableFileError(Exception):
    """Says why a file cannot be written, in a few words."""


def read_file(path: Path, most_bytes: int = FILE_MAX_BYTES) -> bytes:
    """Return the contents of a regular file. Raises UnreadableFileError for anything else."""
    too_large = UnreadableFileError(f"is larger than {most_bytes} bytes")
    with open_file(path) as file:
        try:
            if os.fstat(file.fileno()).st_size > most_bytes:
                raise too_large
            contents = file.read(most_bytes + 1)
        except OSError as error:
            raise UnreadableFileError(error.strerror or str(error)) from None
    if len(contents) > most_bytes:  # it grew, or it is of /proc, where sizes are 0
        raise too_large
    return contents


def open_file(path: Path) -> BinaryIO:
    """Open a regular file to be read. Raises UnreadableFileError for anything else.

    Reading may fail all the same, with OSError: in /proc there are files that only look regular.
    """
    try:
        _check(os.stat(path))
        # O_NONBLOCK: somebody may have put a FIFO there since
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        file = open(fd, "rb")  # noqa: SIM115 (the caller's)
        try:
            _check(os.fstat(fd))
        except UnreadableFileError:
            file.close()
            raise
    except OSError as error:
        raise UnreadableFileError(error.strerror or str(error)) from None
    except ValueError:  # UnicodeEncodeError is one
        raise UnreadableFileError(_NO_PATH) from None
    return file


def create_own_file(path: Path) -> BinaryIO:
    """Open a file that is ours alone, emptied, to be written. Raises UnwritableFileError.

    It writes nothing that somebody else put there: another user's file, a second name of a file, a
    link, a FIFO.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        file = open(os.open(path, flags, 0o600), "wb")  # noqa: SIM115 (the caller's)
    except OSError as error:
        raise UnwritableFileError(error.strerror or str(error)) from None
    except ValueError:
        raise UnwritableFileError(_NO_PATH) from None
    try:
        status = os.fstat(file.fileno())
        is_regular = stat.S_ISREG(status.st_mode)
        if not is_regular or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise UnwritableFileError("is no file of our own, and secrets would go there")
        os.fchmod(file.fileno(), 0o600)
        os.ftruncate(file.fileno(), 0)
    except OSError as error:  # of /proc or /sys
        file.close()
        raise UnwritableFileError(error.strerror or str(error)) from None
    except UnwritableFileError:
        file.close()
        raise
    return file


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableFileError("Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError("is not a regular file")
