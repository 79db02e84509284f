"""Reading files that an operator names: regular, and of a bounded size."""

from __future__ import annotations

import os
import stat
from pathlib import Path

FILE_MAX_BYTES = 256 << 10
"""Many times what a configuration, a web-config or a chain of certificates takes."""


class UnreadableFileError(Exception):
    """Says why a file cannot be read, in a few words."""


def read_file(path: Path, most_bytes: int = FILE_MAX_BYTES) -> bytes:
    """Return the contents of a regular file. Raises UnreadableFileError for anything else.

    It does not open a FIFO or a device, which may block or do something.
    """
    try:
        _check(os.stat(path), most_bytes)
        # O_NONBLOCK: somebody may have put a FIFO there since
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            _check(os.fstat(fd), most_bytes)
            contents = file.read(most_bytes + 1)
    except OSError as error:
        raise UnreadableFileError(error.strerror or str(error)) from None
    except ValueError:  # UnicodeEncodeError is one
        raise UnreadableFileError("no path has a NUL or a lone surrogate in it") from None
    if len(contents) > most_bytes:  # it grew, or it is of /proc, where sizes are 0
        raise UnreadableFileError(f"is larger than {most_bytes} bytes")
    return contents


def _check(status: os.stat_result, most_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableFileError("Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFileError("is not a regular file")
    if status.st_size > most_bytes:
        raise UnreadableFileError(f"is larger than {most_bytes} bytes")
