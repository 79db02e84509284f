"""What the coordinator and a worker share: the answers, and how far the worker has come."""

from __future__ import annotations

import mmap
import socket
import time
from typing import Any

from agentd.helpers import frames

_ITEM, _SINCE_NS, _START_NS, _DELIVERED = range(4)


class Progress:
    """Numbers in memory that both see: the worker writes, the coordinator reads.

    Each is one store of eight bytes, so no reader sees half of one.
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")

    def begin(self, item: int) -> None:
        """The worker turns to an item."""
        self._numbers[_ITEM] = item
        self._numbers[_START_NS] = 0
        self._numbers[_SINCE_NS] = time.monotonic_ns()

    def identify(self, start_ns: int) -> None:
        """When the process began that the item is."""
        self._numbers[_START_NS] = start_ns

    def end(self) -> None:
        """No item is being looked at: what takes time now is our own."""
        self._numbers[_SINCE_NS] = 0

    def deliver(self, item: int) -> None:
        """The daemon has been sent everything up to this item."""
        self._numbers[_DELIVERED] = item

    @property
    def key(self) -> tuple[int, int]:
        """The process that is being looked at: its tgid, and its start as far as it is known."""
        return self._numbers[_ITEM], self._numbers[_START_NS]

    @property
    def delivered(self) -> int:
        """The last item of those that the daemon has been sent."""
        return self._numbers[_DELIVERED]

    def item_seconds(self) -> float:
        """How long the worker has been looking at one item."""
        since_ns = self._numbers[_SINCE_NS]
        return (time.monotonic_ns() - since_ns) / 1e9 if since_ns else 0.0


class Answers:
    """A worker's way to the daemon. Each method raises OSError if the daemon has gone."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    def part(self, value: Any) -> None:
        """A piece of the answer. Raises ValueError if it is too long."""
        self.socket.sendall(frames.pack([frames.PART, value]))

    def done(self, value: Any = None) -> None:
        """The end."""
        self.socket.sendall(frames.pack([frames.DONE, value]))

    def failed(self, text: str) -> None:
        """The end, and why it is not a good one."""
        self.socket.sendall(frames.failure(text))
