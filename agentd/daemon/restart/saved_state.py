"""What a process that ends as planned leaves to the next: the state of one moment.

The tree, how far the stream was handed on, and what the outputs had not taken by then belong
together: who has the tree of a later moment than the position reads events again that the tree
knows, and would report none of them. So all of it is taken at once, when nothing happens any more,
and lies in one memfd with a checksum, whole or not at all. It holds only for the programs whose
stream it is about, and as long as their ledger still says what it said then: a process that was
killed since has gone further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from agentd.core.loss.tracker import Progress
from agentd.core.unwritten import Unwritten
from agentd.runtime import checksummed

_FORMAT = "agentd-past-2"
_PART_BYTES_MAX = 1 << 30


class PastError(Exception):
    """There is no past to go on from, and why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a past was taken."""

    first_seq: int
    """Where the numbers of its programs begin: no other programs of this boot have that."""
    turn: int
    """Of the ledger."""


@dataclass(frozen=True, slots=True)
class Past:
    """All of it."""

    moment: Moment
    progress: Progress
    tree: Any
    """``core.tree.snapshot``"""
    unwritten: Mapping[str, Unwritten]
    """What each output had not taken, by its name."""


def write_past(past: Past) -> int:
    """Give a memfd that holds it."""
    return checksummed.write("agentd-past", _parts(past))


def _parts(past: Past) -> Iterator[bytes]:
    import msgpack  # noqa: PLC0415 (memory)

    unwritten = {
        name: (rest.form, rest.payloads, rest.spans) for name, rest in past.unwritten.items()
    }
    for part in (_FORMAT, astuple(past.moment), astuple(past.progress), past.tree, unwritten):
        yield msgpack.packb(part)


def read_past(fd: int, moment: Moment | None) -> Past:
    """What a memfd holds, which is closed. ``moment``: that of the programs which we go on with.

    Raises PastError if it is not whole, or of another moment.
    """
    try:
        file = checksummed.read(fd)
    except checksummed.DamagedError as error:
        raise PastError(str(error)) from None
    import msgpack  # noqa: PLC0415 (memory)

    limits = dict.fromkeys(("max_buffer_size", "max_bin_len", "max_array_len"), _PART_BYTES_MAX)
    with file:
        try:
            parts = iter(msgpack.Unpacker(file, use_list=False, **limits))
            if next(parts) != _FORMAT:
                raise PastError("is of another version")
            if moment is None:
                raise PastError("is of programs that run no more")
            if next(parts) != astuple(moment):
                raise PastError("is of another moment than the position of the stream")
            progress, tree = Progress(*next(parts)), next(parts)
            unwritten = {name: Unwritten(*rest) for name, rest in next(parts).items()}
        except (StopIteration, ValueError, TypeError, AttributeError, msgpack.UnpackException):
            raise PastError("is none that this version has written") from None
    return Past(moment, progress, tree, unwritten)
