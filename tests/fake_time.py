"""An event loop whose clock a test need not wait for."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Where nothing is ready, the time goes by at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready now."""
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._fake = _Selector()
        super().__init__(self._fake)

    def time(self) -> float:
        """Seconds, of which none is ever waited for."""
        return self._fake.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)
