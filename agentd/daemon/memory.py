"""What the process holds in memory, told what rounds are: many objects that all go again before
the next, and little of the code that the start has run.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import re
from collections.abc import Iterator
from pathlib import Path

from agentd.core.text import as_text

NEW_OBJECTS_MAX = 20_000
"""How many objects may come and not go again before the garbage collector looks. Of a round nothing
is left for it to find; cycles come with sessions and with requests."""

_KEPT_BYTES = 2 << 20
"""What malloc keeps for the next round, instead of giving it back to the kernel and having every
page made anew."""

GIVEN_BACK_AFTER_SECONDS = 60.0
"""Leftovers of storms and of requests are kept no longer than that. It takes a millisecond."""

ALL_EVERY = 60
"""Each time the collector looks at what has come since the last time, but so seldom at all that is
there: with 100,000 processes that takes 30 milliseconds."""
_YOUNG, _ALL = 1, 2  # generations

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_MADV_DONTNEED = 4  # asm-generic/mman-common.h

_AREA = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-.p \S+ \S+ [1-9]\d* .*?^Anonymous: +(\d+) kB", re.M | re.S
)
"""In smaps: a private area of a file that is not writable, and how much of it was written to."""


def settle() -> None:
    """Once all is there that stays: the collector looks at that no more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_MAX, *gc.get_threshold()[1:])
    libc = ctypes.CDLL(None)
    for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
        libc.mallopt(option, _KEPT_BYTES)
    libc.malloc_trim(0)
    for address, size_bytes in file_pages():
        libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size_bytes), _MADV_DONTNEED)


class GivingBack:
    """Gives back what nobody needs, and what malloc holds between things that stay.

    By itself the collector would come every quarter of an hour where all there is to find is what
    a scrape leaves; and malloc gives back the end of its heap only, which is where the last storm
    left it. Where nothing happens there is nothing to give back, and nobody wakes up for it.
    """

    def __init__(self) -> None:
        self._trim = ctypes.CDLL(None).malloc_trim
        self._turns = 0
        self._due = False

    def after_round(self) -> None:
        """Soon after, once for all rounds until then."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(GIVEN_BACK_AFTER_SECONDS, self._give_back)

    def _give_back(self) -> None:
        self._due = False
        self._turns += 1
        gc.collect(_YOUNG if self._turns % ALL_EVERY else _ALL)
        self._trim(0)


def file_pages() -> Iterator[tuple[int, int]]:
    """Areas, by address and bytes, that hold pages of files as they are: programs, libraries.

    What they are needed for again comes back from the page cache, of which they are the larger part
    of what the start has touched. Nothing where /proc/self/smaps cannot be read.
    """
    try:
        smaps = as_text(Path("/proc/self/smaps").read_bytes())
    except OSError:
        return
    for start, end, written_kib in _AREA.findall(smaps):
        if written_kib == "0":
            yield int(start, 16), int(end, 16) - int(start, 16)
