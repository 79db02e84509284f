"""A place in this process's memory where now this and now that part of a file is mapped.

Python's mmap keeps a file descriptor for each mapping, and at a moment there may be none to spare.
"""

from __future__ import annotations

import ctypes as ct
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

_MAP_FIXED = 0x10  # asm-generic/mman-common.h
_FAILED = ct.c_void_p(-1).value

_libc = ct.CDLL(None, use_errno=True)
_libc.mmap.restype = ct.c_void_p
_libc.mmap.argtypes = (ct.c_void_p, ct.c_size_t, ct.c_int, ct.c_int, ct.c_int, ct.c_long)


class Window:
    """Room for ``size_bytes`` of a file; nothing of it is resident while nothing is looked at."""

    def __init__(self, size_bytes: int) -> None:
        self._place = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._address = ct.addressof(ct.c_char.from_buffer(self._place))
        self._view = memoryview(self._place)

    @contextmanager
    def onto(self, fd: int, offset: int, size_bytes: int) -> Iterator[memoryview]:
        """So many bytes of a file from a page on, to be read as long as the block runs.

        Raises OSError.
        """
        self._map(size_bytes, mmap.PROT_READ, mmap.MAP_SHARED, fd, offset)
        try:
            with self._view[:size_bytes] as view:
                yield view
        finally:
            empty = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            self._map(size_bytes, mmap.PROT_READ | mmap.PROT_WRITE, empty, -1, 0)

    def close(self) -> None:
        """Give the place back."""
        self._view.release()
        self._place.close()

    def _map(self, size_bytes: int, protection: int, flags: int, fd: int, offset: int) -> None:
        flags |= _MAP_FIXED
        if _libc.mmap(self._address, size_bytes, protection, flags, fd, offset) == _FAILED:
            raise OSError(ct.get_errno(), os.strerror(ct.get_errno()))
