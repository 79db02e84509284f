"""Tells the service manager that agentd works, when it has seen that it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from agentd.canary import Canary
from agentd.errors import UnavailableError
from agentd.service import Service

_FIRST_SECONDS = 20.0
_PARTS_OF_WATCHDOG = 3
"""So many canaries may be missed before the watchdog's time is over."""


class Liveness:
    """Readiness once, then the watchdog. ``status`` is a sentence about how it is going."""

    def __init__(
        self, service: Service, canary: Canary, status: Callable[[], str], log: Any
    ) -> None:
        self._service = service
        self._canary = canary
        self._status = status
        self._log = log

    async def begin(self) -> None:
        """Say that all is ready. Raises UnavailableError if our own process is not seen."""
        if self._service.watchdog_seconds and not await self._canary.send(_FIRST_SECONDS):
            raise UnavailableError(
                "a process of our own did not come through the pipeline: agentd would be blind",
                "agentd doctor looks at what it needs",
            )
        self._service.ready(self._status())

    async def run(self) -> None:
        """Feed the watchdog, if there is one, with each canary that comes through."""
        watchdog_seconds = self._service.watchdog_seconds
        if watchdog_seconds is None:
            return
        every_seconds = watchdog_seconds / _PARTS_OF_WATCHDOG
        while True:
            if await self._canary.send(every_seconds):
                self._service.alive(self._status())
            else:
                self._log.warning("a canary did not come through", seconds=every_seconds)
                self._service.status(f"not well: a canary is missing. {self._status()}")
            await asyncio.sleep(every_seconds)
