"""When it is time to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from agentd.runtime.early_signals import hang_ups

T = TypeVar("T")


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, and a SIGHUP of a terminal that has gone away."""
    stopping = asyncio.Event()

    def hang_up() -> None:
        try:
            hang_ups.note()
        except KeyboardInterrupt:
            stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):  # which Python does not catch by itself: last
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    return stopping


def reload_on_hang_up(reload: Callable[[], None], stop: Callable[[], None]) -> None:
    """From now on a SIGHUP reloads; one that came before does so now."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(
        signal.SIGHUP, lambda: stop() if hang_ups.is_terminal_gone else reload()
    )
    if hang_ups.reload_asked:
        loop.call_soon(reload)


def set_after(seconds: float | None, event: asyncio.Event) -> None:
    """Set it after so long; never, with None."""
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, event.set)


async def unless(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None if it is time to stop before that: then it does not begin."""
    if stopping.is_set():
        work.close()
        return None
    task = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait((task,))
    return None
