"""The allocators, told what rounds are: many objects that all go again before the next."""

from __future__ import annotations

import ctypes
import gc

NEW_OBJECTS_MAX = 20_000
"""How many objects may come and not go again before the garbage collector looks. Of a round nothing
is left for it to find; cycles come with sessions and with requests."""

_KEPT_BYTES = 2 << 20
"""What malloc keeps for the next round, instead of giving it back to the kernel and having every
page made anew."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def settle() -> None:
    """Once all is there that stays: the collector looks at that no more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_MAX, *gc.get_threshold()[1:])
    libc = ctypes.CDLL(None)
    for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
        libc.mallopt(option, _KEPT_BYTES)
