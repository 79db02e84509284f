"""What a process that ends as planned leaves to the next: the state of one moment.

The tree, how far the stream was handed on, and what the outputs had not taken by then belong
together: who has the tree of a later moment than the position reads events again that the tree
knows, and would report none of them. So all of it is taken at once, when nothing happens any more,
and lies in one memfd, whole or not at all. It holds only as long as the ledger still says what it
said then: a process that was killed since has gone further.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from agentd.core.accounting import Progress
from agentd.core.unwritten import Unwritten

_FORMAT = "agentd-past-1"
_PART_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Past:
    """All of it. ``turn``: of the ledger, when it was taken."""

    turn: int
    progress: Progress
    tree: Any
    """``core.snapshot``"""
    unwritten: Mapping[str, Unwritten]
    """What each output had not taken, by its name."""


def write_past(past: Past) -> int:
    """Give a memfd that holds it."""
    import msgpack  # noqa: PLC0415 (memory)

    unwritten = {
        name: (rest.form, rest.payloads, rest.spans) for name, rest in past.unwritten.items()
    }
    fd = os.memfd_create("agentd-past")
    with open(fd, "wb", closefd=False) as file:
        for part in (_FORMAT, past.turn, astuple(past.progress), past.tree, unwritten):
            file.write(msgpack.packb(part))
    return fd


def read_past(fd: int, turn: int) -> Past | None:
    """What a memfd holds, which is closed; None if it is not whole, or of before that ``turn``."""
    import msgpack  # noqa: PLC0415 (memory)

    limits = dict.fromkeys(("max_buffer_size", "max_bin_len", "max_array_len"), _PART_BYTES_MAX)
    with open(fd, "rb") as file:
        file.seek(0)
        try:
            parts = iter(msgpack.Unpacker(file, use_list=False, **limits))
            if next(parts) != _FORMAT or next(parts) != turn:
                return None
            progress, tree = Progress(*next(parts)), next(parts)
            unwritten = {name: Unwritten(*rest) for name, rest in next(parts).items()}
        except (StopIteration, ValueError, TypeError, AttributeError, msgpack.UnpackException):
            return None
    return Past(turn, progress, tree, unwritten)
