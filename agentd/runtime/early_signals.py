"""Signals before there is an event loop: from the first moment on.

SIGTERM ends agentd as Ctrl-C does; nothing has been made yet that could stay behind. A SIGHUP asks
for a reload, which is done once there is something to reload. Where it says that the terminal has
gone away, it ends agentd.
"""

from __future__ import annotations

import os
import signal


def _terminals() -> list[int]:
    """The standard file descriptors that lead to one."""
    return [fd for fd in (0, 1, 2) if os.isatty(fd)]


class HangUps:
    """What a SIGHUP means."""

    def __init__(self) -> None:
        self.reload_asked = False
        """One came before there was anything to reload."""
        self._terminals = _terminals()

    @property
    def is_terminal_gone(self) -> bool:
        """Whether the terminal has gone away that agentd was started on."""
        return _terminals() != self._terminals

    def note(self) -> None:
        """Remember that one came. Raises KeyboardInterrupt if the terminal has gone away."""
        if self.is_terminal_gone:
            raise KeyboardInterrupt
        self.reload_asked = True


hang_ups = HangUps()


def catch_early() -> None:
    """Until there is an event loop. Also SIGINT, which who starts us may have ignored."""
    signal.signal(signal.SIGHUP, lambda number, frame: hang_ups.note())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
