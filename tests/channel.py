"""A channel that takes what a test lets it take."""

from __future__ import annotations

import os

from agentd.errors import AgentdError


class FakeChannel:
    """Takes ``room`` bytes; then nothing. Its fd is writable when ``open`` was called."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.got: list[bytes] = []
        self.error: AgentdError | None = None
        self._fd = os.eventfd(0, os.EFD_NONBLOCK)
        os.eventfd_write(self._fd, 2**64 - 2)  # full: not writable

    @property
    def text(self) -> str:
        """All that it has taken."""
        return b"".join(self.got).decode()

    def open(self, room: int = 1 << 30) -> None:
        """Make room, and say so."""
        self.room = room
        os.eventfd_read(self._fd)

    def fileno(self) -> int:
        """The eventfd."""
        return self._fd

    def send(self, payload: memoryview) -> int:
        """As much as there is room for."""
        if self.error is not None:
            raise self.error
        taken = min(len(payload), self.room)
        if not taken:
            raise BlockingIOError
        self.room -= taken
        self.got.append(bytes(payload[:taken]))
        return taken

    def close(self) -> None:
        """Close the eventfd."""
        os.close(self._fd)


def NEVER(name: str, error: AgentdError | None) -> None:  # noqa: N802 (it stands for a value)
    """A sink's ``told`` where nothing may fail."""
    raise error or AssertionError(f"{name} had not failed")
