"""The daemon's numbers in the front: asked for when somebody wants them, shared for a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from agentd.metrics.exporter import Exposition
from agentd.metrics.family import Metric
from agentd.metrics.snapshot import read_snapshot

FRESH_SECONDS = 1.0
"""How old numbers may be for whoever asks."""
SILENT_SECONDS = 5.0
"""A daemon that has been asked that long ago, and has not answered, is stuck."""


class SilentError(Exception):
    """The daemon does not answer."""


class Numbers:
    """The latest. ``ask`` asks the daemon for newer ones. ``more``: families of the front's own."""

    def __init__(self, ask: Callable[[], None], more: Callable[[], list[Metric]]) -> None:
        self._ask = ask
        self._more = more
        self._came = asyncio.Event()
        self._came_at = float("-inf")
        self._asked_at: float | None = None
        self._values: dict[str, Any] = {}
        self._expositions: dict[bool, Exposition] = {}

    def take(self, values: dict[str, Any]) -> None:
        """These have come."""
        self._values = values
        self._expositions.clear()
        self._came_at, self._asked_at = time.monotonic(), None
        self._came.set()

    async def latest(self, fresh_seconds: float = FRESH_SECONDS) -> dict[str, Any]:
        """Numbers that are no older. Raises SilentError if the daemon sends none."""
        now = time.monotonic()
        if now - self._came_at < fresh_seconds:
            return self._values
        if self._asked_at is None:
            self._asked_at = now
            self._came.clear()
            self._ask()
        try:
            async with asyncio.timeout(self._asked_at + SILENT_SECONDS - now):
                await self._came.wait()
        except TimeoutError:
            self._ask()  # the first may have been dropped
            raise SilentError(
                f"the daemon has not answered for {time.monotonic() - self._came_at:.0f} s"
                if self._values
                else "the daemon does not answer"
            ) from None
        return self._values

    async def exposition(self, *, names_processes: bool) -> Exposition:
        """The same as text for Prometheus, made once; perhaps with exemplars, which name one."""
        values = await self.latest()
        made = self._expositions.get(names_processes)
        if made is None:
            snapshot = read_snapshot(values["metrics"])
            made = Exposition(snapshot, self._more(), names_processes=names_processes)
            self._expositions[names_processes] = made
        return made
