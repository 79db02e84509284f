"""Tells the service manager that agentd works, when it has seen that it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agentd.daemon.health.canary import Canary
from agentd.errors import UnavailableError
from agentd.runtime.stopping import unless
from agentd.systemd.notify import Service

_FIRST_SECONDS = 20.0
_AGAIN_SECONDS = 1.0
_READY_TIMES = 60
"""A host that boots may keep its service manager from hearing us for a while."""
_MISSED_MAX = 3
_PARTS_OF_WATCHDOG = _MISSED_MAX + 2
"""One part goes by before the first canary after one that passed; then each has one part. So the
one behind those that may be missed still has all of the last part."""


class Liveness:
    """Readiness once, then the watchdog. ``status`` is a sentence about how it is going."""

    def __init__(
        self, service: Service, canary: Canary, status: Callable[[], str], log: Any
    ) -> None:
        self._service = service
        self._canary = canary
        self._status = status
        self._log = log

    async def begin(self, stopping: asyncio.Event) -> None:
        """Say that all is ready, unless it is time to stop before that.

        Raises UnavailableError if our own process is not seen.
        """
        await unless(stopping, self._begin())

    async def _begin(self) -> None:
        if self._service.watchdog_seconds and not await self._first():
            raise UnavailableError(
                "a process of our own did not come through the pipeline: agentd would be blind"
                f" ({self._canary.problem})",
                "agentd doctor looks at what it needs",
            )
        for _ in range(_READY_TIMES):
            if self._service.ready(self._status()):
                break
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _first(self) -> bool:
        """Whether a canary came through; one that could not be sent is followed by others."""
        clock = asyncio.get_running_loop().time
        until = clock() + _FIRST_SECONDS
        while (left := until - clock()) > 0:
            if await self._canary.send(left):
                return True
            await asyncio.sleep(_AGAIN_SECONDS)
        return False

    async def run(self) -> None:
        """Feed the watchdog, if there is one, with each canary that comes through."""
        watchdog_seconds = self._service.watchdog_seconds
        if watchdog_seconds is None:
            return
        every_seconds = watchdog_seconds / _PARTS_OF_WATCHDOG
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            if await self._canary.send(every_seconds):
                self._service.alive(self._status())
            else:
                self._log.warning("a canary did not come through", problem=self._canary.problem)
                self._service.status(f"not well: a canary is missing. {self._status()}")
            await asyncio.sleep(max(0.0, begun + every_seconds - clock()))
