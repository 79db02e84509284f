"""The lines of the daemon's own log, where nobody takes them: they wait, and nothing else does."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from agentd.errors import AgentdError
from agentd.sinks.writer import Channel

CAPACITY = 1000
"""Lines that wait at most."""
_AGAIN_SECONDS = 0.25
"""Until what waits is tried again."""
_LAST_SECONDS = 0.25
"""How long the end is put off for lines that are not taken."""


class LogQueue:
    """A queue in front of a channel. What comes when it is full is dropped, and counted."""

    def __init__(self, channel: Channel, capacity: int = CAPACITY) -> None:
        self.dropped_total = 0
        self._channel = channel
        self._capacity = capacity
        self._lines: deque[memoryview] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def write(self, line: bytes) -> None:
        """Send a line, or let it wait."""
        if len(self._lines) < self._capacity:
            self._lines.append(memoryview(line))
        else:
            self.dropped_total += 1
        self._flush()

    def finish(self) -> None:
        """Send what waits, if that can be done soon, when no event loop runs any more."""
        until = time.monotonic() + _LAST_SECONDS
        while self._lines and time.monotonic() < until:
            self._flush()
            time.sleep(_LAST_SECONDS / 25)

    def _flush(self) -> None:
        """Send what waits, until no more is taken."""
        while self._lines:
            try:
                taken = self._channel.send(self._lines[0])
            except (BlockingIOError, AgentdError):
                self._try_again()
                return
            line = self._lines.popleft()
            if taken < len(line):
                self._lines.appendleft(line[taken:])

    def _try_again(self) -> None:
        if self._timer is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # before it runs, or after: the next line, or the end, tries again
        self._timer = loop.call_later(_AGAIN_SECONDS, self._when_rested)

    def _when_rested(self) -> None:
        self._timer = None
        self._flush()
