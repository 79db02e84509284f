"""Standard output, written without ever blocking the event loop.

A pipe or a terminal whose reader is slow makes the round wait, not the loop: metrics, health and
signals go on, and the ring holds what comes meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat

from agentd.core.batch import Batch
from agentd.errors import AgentdError
from agentd.sinks.renderer import Renderer


class SinkClosedError(AgentdError):
    """The reader of standard output has gone away."""


class SinkFailedError(AgentdError):
    """Standard output cannot be written: a full disk, say."""

    exit_code = os.EX_IOERR


class Stdout:
    """Writes what a renderer makes of each batch to the file behind ``fd``."""

    def __init__(self, renderer: Renderer, fd: int = 1, heading: str = "") -> None:
        self._renderer = renderer
        self._fd, self._socket = _own_description(fd)
        self._pending = memoryview(heading.encode())
        self._heading_lines = heading.count("\n")
        self._accepted = 0

    async def write(self, batch: Batch) -> None:
        """Write a batch, after what is left of the one before.

        Raises SinkClosedError or SinkFailedError. What was not written then, or when cancelled,
        stays pending.
        """
        data = self._renderer.render(batch)
        self._accepted += len(batch.entries)
        self._pending = (
            memoryview(bytes(self._pending) + data) if self._pending else memoryview(data)
        )
        await self.flush()

    async def flush(self) -> None:
        """Write what is pending. Raises SinkClosedError or SinkFailedError."""
        while self._pending:
            try:
                written = self._write(self._pending)
            except BlockingIOError:
                await self._writable()
            except BrokenPipeError:
                raise SinkClosedError("the reader of standard output has gone away") from None
            except OSError as error:
                raise SinkFailedError(f"cannot write events: {error.strerror}") from None
            else:
                self._pending = self._pending[written:]
        self._heading_lines = 0

    @property
    def written(self) -> int:
        """Entries that have been written to their end."""
        pending = bytes(self._pending).count(b"\n") - self._heading_lines
        return self._accepted - pending

    def close(self) -> None:
        """Let go of the file."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)

    def _write(self, data: memoryview) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return os.write(self._fd, data)

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._fd)


def _own_description(fd: int) -> tuple[int, socket.socket | None]:
    """A way to write to ``fd`` without blocking, and without making it so for those who share it.

    O_NONBLOCK belongs to the open file, which a terminal's programs have in common: a pipe or a
    terminal is opened again, and a socket is told with each call.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        own = socket.socket(fileno=os.dup(fd))
        return own.fileno(), own
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags), None
    return os.dup(fd), None
