"""Serves ASGI applications over HTTP/1.1, to whoever connects to a socket.

So many are connected at once. Who comes when all places are taken gets that of a connection which
waits for a request: the one that has waited longest, of the address that has most. Where all are
being answered it waits. A connection takes one request after the other, and each time all others
have their turn before its next.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from agentd.http.asgi import Asgi
from agentd.http.connection import Conversation, Place

_HANDSHAKE_SECONDS = 5.0
_LAST_BYTES_SECONDS = 5.0
"""How long a peer may take to fetch what is left when a connection is closed."""
_GRACE_SECONDS = 1.0
"""So long a connection may wait for its request, whoever else comes."""
_LOOK_SECONDS = 0.1
"""How often to look whether a connection has come to wait for a request."""
_AGAIN_SECONDS = 0.5
"""After a connection could not be accepted, for want of file descriptors, say."""


class Visitors:
    """Who is connected to any of several servers, and how many ever were."""

    def __init__(self) -> None:
        self.present = 0
        self.total = 0


class Server:
    """Accepts from a listening socket, which stays its owner's.

    ``app_for`` says which application answers a peer, who is known by the connection's socket.
    Who fetches nothing of an answer for ``patience_seconds`` is cut off.
    """

    def __init__(
        self,
        sock: socket.socket,
        app_for: Callable[[socket.socket], Asgi],
        connections_max: int,
        tls: ssl.SSLContext | None = None,
        *,
        patience_seconds: float | None = None,
        visitors: Visitors | None = None,
    ) -> None:
        self._visitors = visitors or Visitors()
        self._sock = sock
        self._app_for = app_for
        self._connections_max = connections_max
        self._tls = tls
        self._patience_seconds = patience_seconds
        self._places: dict[asyncio.Task[None], Place] = {}

    @property
    def connected(self) -> int:
        """How many are."""
        return len(self._places)

    async def run(self, stop: Callable[[], Awaitable[Any]], grace_seconds: float = 0) -> None:
        """Serve until ``stop`` returns; what is being answered then is cut off after a while."""
        self._sock.setblocking(False)
        accepting = asyncio.create_task(self._accept())
        try:
            await stop()
        finally:
            accepting.cancel()
            await asyncio.wait((accepting,))
            if self._places and grace_seconds:
                await asyncio.wait(self._places, timeout=grace_seconds)
            for task in self._places:
                task.cancel()
            await asyncio.gather(*self._places, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_for_connection()
            try:
                connection, _ = self._sock.accept()
            except BlockingIOError:  # it has gone, or somebody else has it
                continue
            except OSError:
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            connection.setblocking(False)
            try:
                await self._make_room()
            except asyncio.CancelledError:
                connection.close()
                raise
            place = Place(_address(connection), time.monotonic())
            task = loop.create_task(self._serve(connection, place))
            self._places[task] = place
            self._visitors.present += 1
            self._visitors.total += 1
            task.add_done_callback(partial(self._gone, connection))

    async def _wait_for_connection(self) -> None:
        """Wait for a connection, but do not accept it.

        ``loop.sock_accept`` may be cancelled when it has accepted one: nobody has that then.
        """
        loop, someone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._sock, someone.set)
        try:
            await someone.wait()
        finally:
            loop.remove_reader(self._sock)

    async def _make_room(self) -> None:
        """Until there is a place."""
        while len(self._places) >= self._connections_max:
            before = time.monotonic() - _GRACE_SECONDS
            waiting = [task for task, place in self._places.items() if place.waits(before)]
            if waiting:
                task = min(waiting, key=self._claim)
                task.cancel()
                await asyncio.wait((task,))
                await asyncio.sleep(0)  # then it is gone
            else:
                await asyncio.wait(
                    self._places, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )

    def _claim(self, task: asyncio.Task[None]) -> tuple[int, float]:
        """The least goes first: how many places its address has, and since when it waits."""
        place = self._places[task]
        mates = sum(other.address == place.address for other in self._places.values())
        return -mates, place.waits_since or 0.0

    def _gone(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        place = self._places.pop(task)
        self._visitors.present -= 1
        if not place.begun:  # it was cut off before it began
            connection.close()
        if not task.cancelled() and (failure := task.exception()) is not None:
            context = {"message": "a connection failed", "exception": failure}
            asyncio.get_running_loop().call_exception_handler(context)

    async def _serve(self, connection: socket.socket, place: Place) -> None:
        """From its beginning to its end."""
        place.begun = True
        try:
            app = self._app_for(connection)
        except OSError:  # it is gone already
            connection.close()
            return
        with contextlib.suppress(OSError):  # it broke, was late, or spoke no TLS
            reader, writer = await self._streams(connection)
            try:
                await Conversation(app, reader, writer, place, self._patience_seconds).hold()
                writer.close()
                async with asyncio.timeout(_LAST_BYTES_SECONDS):
                    await writer.wait_closed()
            finally:
                writer.transport.abort()

    async def _streams(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _address(connection: socket.socket) -> str:
    """The peer's, without the port."""
    try:
        peer = connection.getpeername()
    except OSError:
        return ""
    return str(peer[0]) if isinstance(peer, tuple) else ""
