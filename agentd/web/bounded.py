"""A server that so many may be connected to at once; others wait in the kernel's queue.

Whoever may connect could otherwise take all file descriptors and much memory: hypercorn takes
connections without a bound. It asks the event loop for its server, which is where this one is put.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

CONNECTIONS_MAX = 64
_AGAIN_SECONDS = 0.5
"""After a connection could not be accepted, for want of file descriptors, say."""


class _Watched(asyncio.Protocol):
    """Passes everything on, and tells when the connection is lost."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self.lost = asyncio.Event()
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The beginning."""
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """What has come."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Nothing more will come."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self.lost.set()
        self._inner.connection_lost(exc)


class BoundedServer:
    """Accepts from ``sock``, which it closes. ``options`` are those of a connection."""

    def __init__(
        self,
        factory: Callable[[], asyncio.Protocol],
        sock: socket.socket,
        connections_max: int,
        **options: Any,
    ) -> None:
        self._factory = factory
        self._sock = sock
        self._options = options
        self._free = asyncio.Semaphore(connections_max)
        self._connections: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Accept no more. Who is connected stays so."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        """Until nothing is accepted any more."""
        await asyncio.wait((self._accepting,))
        self._sock.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                connection, _ = await loop.sock_accept(self._sock)
            except OSError:
                self._free.release()
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            task = loop.create_task(self._serve(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, connection: socket.socket) -> None:
        """From its beginning to its end."""
        watched = _Watched(self._factory())
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):  # it broke, or spoke no TLS
                await loop.connect_accepted_socket(lambda: watched, connection, **self._options)
                await watched.lost.wait()
        finally:
            self._free.release()


@contextlib.contextmanager
def bounded(loop: asyncio.AbstractEventLoop, connections_max: int) -> Iterator[None]:
    """As long as this holds, servers of the loop are such ones."""

    async def create_server(
        factory: Callable[[], asyncio.Protocol],
        host: None = None,
        port: None = None,
        *,
        sock: socket.socket,
        backlog: int,
        **options: Any,
    ) -> BoundedServer:
        return BoundedServer(factory, sock, connections_max, **options)

    before = loop.create_server
    loop.create_server = create_server  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        loop.create_server = before  # type: ignore[method-assign]
