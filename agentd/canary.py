"""An event of our own, sent through kernel, buffer, order, tree and sink, to see that all work.

A daemon that is "active (running)" and captures nothing is the worst failure of such tools. The
canary is a process that ends at once: once its exit has been written, all that it went through
is known to work. Where a filter leaves our own processes out, the kernel's count of what it left
out must move instead.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from agentd import host
from agentd.core.batch import Batch
from agentd.core.event import Exit
from agentd.core.process import Applied

COMMAND = "/bin/true"
_POLL_SECONDS = 0.01


class Canary:
    """Sends one at a time. ``filtered``: how many exits the kernel has left out so far."""

    def __init__(self, filtered: Callable[[], int]) -> None:
        self.passed_total = 0
        self.missed_total = 0
        self.latency_seconds = 0.0
        """Of the last that was written: from its exit until then."""
        self._filtered = filtered
        self._sent = False
        self._written = asyncio.Event()

    def written(self, batch: Batch) -> None:
        """A batch has been written."""
        if not self._sent or self._written.is_set():
            return
        for entry in batch.entries:
            if isinstance(entry, Applied) and _is_our_childs_exit(entry):
                self.latency_seconds = (host.boottime_ns() - entry.event.boottime_ns) / 1e9
                self._written.set()

    async def send(self, limit_seconds: float) -> bool:
        """Whether one came through within that time. Raises OSError if none can be sent."""
        self._written.clear()
        self._sent = True
        filtered_before = self._filtered()
        try:
            async with asyncio.timeout(limit_seconds):
                process = await asyncio.create_subprocess_exec(COMMAND)
                await process.wait()
                while not self._written.is_set() and self._filtered() == filtered_before:
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            self.missed_total += 1
            return False
        finally:
            self._sent = False
        self.passed_total += 1
        return True


def _is_our_childs_exit(entry: Applied) -> bool:
    """We have no other children."""
    return isinstance(entry.event, Exit) and entry.event.parent_tgid == os.getpid()
