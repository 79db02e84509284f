from __future__ import annotations

import mmap
import os

import pytest

from agentd.kernel.mmap_window import Window

PAGE = mmap.PAGESIZE


def _resident_kib() -> int:
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))


def test_one_part_of_a_file_after_another() -> None:
    """What is seen is what the file has there, and the place can be used again and again."""
    fd = os.memfd_create("window")
    os.write(fd, b"a" * PAGE + b"b" * PAGE + b"c" * PAGE)
    window = Window(2 * PAGE)
    for offset, size_bytes, seen in ((0, PAGE, b"a"), (PAGE, PAGE + 8, b"bc"), (0, 8, b"a")):
        with window.onto(fd, offset, size_bytes) as view:
            assert bytes(dict.fromkeys(view.tobytes())) == seen
            assert len(view) == size_bytes
    window.close()
    os.close(fd)


def test_nothing_stays_resident() -> None:
    """What was looked at is let go of with the block."""
    size_bytes = 64 << 20
    fd = os.memfd_create("window")
    os.ftruncate(fd, size_bytes)
    window = Window(size_bytes)
    before_kib = _resident_kib()
    with window.onto(fd, 0, size_bytes) as view:
        assert sum(view[::PAGE]) == 0
        assert _resident_kib() - before_kib > size_bytes >> 11
    assert _resident_kib() - before_kib < size_bytes >> 11
    window.close()
    os.close(fd)


def test_what_cannot_be_mapped_is_an_error() -> None:
    """A file that cannot be, and an offset within a page."""
    window = Window(PAGE)
    reading, writing = os.pipe()
    fd = os.memfd_create("window")
    os.ftruncate(fd, 2 * PAGE)
    for bad, offset in ((reading, 0), (fd, 1)):
        with (
            pytest.raises(OSError, match=r"No such device|Invalid argument"),
            window.onto(bad, offset, PAGE),
        ):
            pass
    window.close()
    for each in (reading, writing, fd):
        os.close(each)
