"""Who exits while a scan of /proc goes on: what the scan saw of them is out of date.

A scan may take long, and others choose how many exit meanwhile; so only so many are noted. When
there were more, a process that has exited may be taken for a live one, and another scan has to
close it: ``overflows_total`` says that one is due.
"""

from __future__ import annotations

from collections.abc import Callable

from agentd.core.tree.process import Key

_NOTED_MAX = 1 << 17


class WatchedExits:
    """Of one scan at a time. ``ticks``: a key as good as /proc has it."""

    def __init__(self, ticks: Callable[[Key], Key]) -> None:
        self.overflows_total = 0
        """Scans during which more exited than are noted."""
        self._ticks = ticks
        self._exited: set[Key] | None = None

    def begin(self) -> None:
        """A scan begins: note who exits from now on, until it has been compared."""
        self._exited = set()

    def end(self) -> None:
        """The scan has been compared."""
        if self._exited is not None and len(self._exited) >= _NOTED_MAX:
            self.overflows_total += 1
        self._exited = None

    def note(self, key: Key) -> None:
        """One has exited."""
        if self._exited is not None and len(self._exited) < _NOTED_MAX:
            self._exited.add(self._ticks(key))

    def has(self, key: Key) -> bool:
        """Whether a process, given to the tick, has exited since the scan began."""
        return self._exited is not None and self._ticks(key) in self._exited
