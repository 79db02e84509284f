"""What waits in a sink's queue."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agentd.core.undelivered import Untold


def lines(payload: memoryview) -> int:
    """The events of a stream's payload that end in it."""
    return bytes(payload).count(b"\n")


def datagram(payload: memoryview) -> int:
    """A payload that is one event."""
    return 1


@dataclass(slots=True)
class Chunk:
    """A batch that waits, or what is told in the place of some."""

    first: int
    end: int
    """Its entries' numbers."""
    payloads: deque[memoryview]
    untold: Untold
    begun: bool = False
    own: bool = False
    """It is the sink's own word, no batch: a heading, or the account of a drop."""
    size_bytes: int = 0
    """Of all payloads, when it came into the queue."""


def joined(one: Chunk, two: Chunk) -> Chunk:
    """Two that were dropped, as one; their payloads are not needed any more."""
    one.untold.add(two.untold)
    return Chunk(one.first, two.end, deque(), one.untold)
