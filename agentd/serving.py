"""Serves ASGI applications over HTTP/1.1: asyncio carries the bytes, h11 speaks the protocol.

So many are connected at once; others wait in the kernel's queue. A connection takes one request
after the other, and none in between for longer than a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import h11

from agentd import asgi
from agentd.asgi import Asgi, Scope

_REQUEST_BYTES_MAX = 16384
_REQUEST_SECONDS = 10.0
"""How long a request may take to come, from the connection or from the answer before."""
_HANDSHAKE_SECONDS = 5.0
_LAST_BYTES_SECONDS = 5.0
"""How long a peer may take to fetch what is left when a connection is closed."""
_AGAIN_SECONDS = 0.5
"""After a connection could not be accepted, for want of file descriptors, say."""


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
        patience_seconds: float | None = None,
    ) -> None:
        self._sock = sock
        self._app_for = app_for
        self._free = asyncio.Semaphore(connections_max)
        self._tls = tls
        self._patience_seconds = patience_seconds
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        """How many are."""
        return len(self._connections)

    async def run(self, stop: Callable[[], Awaitable[Any]], grace_seconds: float = 0) -> None:
        """Serve until ``stop`` returns; what is being answered then is cut off after a while."""
        self._sock.setblocking(False)
        accepting = asyncio.create_task(self._accept())
        try:
            await stop()
        finally:
            accepting.cancel()
            await asyncio.wait((accepting,))
            if self._connections and grace_seconds:
                await asyncio.wait(self._connections, timeout=grace_seconds)
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

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
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._free.release()

    async def _serve(self, connection: socket.socket) -> None:
        """From its beginning to its end."""
        try:
            app = self._app_for(connection)
        except OSError:  # it is gone already
            connection.close()
            return
        with contextlib.suppress(OSError):  # it broke, was late, or spoke no TLS
            reader, writer = await self._streams(connection)
            try:
                await _Conversation(app, reader, writer, self._patience_seconds).hold()
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


class _Conversation:
    """Requests and answers over one connection."""

    def __init__(
        self,
        app: Asgi,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        patience_seconds: float | None,
    ) -> None:
        self._app = app
        self._patience_seconds = patience_seconds
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_REQUEST_BYTES_MAX)
        self._is_head = False
        """Whether an answer is to have no body."""
        self._is_told = False
        """Whether the application has been given the request."""
        self._is_over = False
        """Whether this connection takes no more."""

    async def hold(self) -> None:
        """To its end. Raises OSError when it is late or breaks."""
        while not self._is_over:
            async with asyncio.timeout(_REQUEST_SECONDS):
                request = await self._request()
            if request is None:
                return
            await self._answer(request)

    async def _request(self) -> h11.Request | None:
        """The next one; None if there is none, or nothing that is one."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                await asgi.text(self._send, error.error_status_hint, "not an HTTP request\n")
                return None
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None
            self._http.receive_data(await self._reader.read(_REQUEST_BYTES_MAX))

    async def _answer(self, request: h11.Request) -> None:
        """One request. A body is nobody's, and the end of the connection."""
        self._is_told, self._is_head = False, request.method == b"HEAD"
        with contextlib.suppress(h11.RemoteProtocolError):
            self._is_over = not isinstance(self._http.next_event(), h11.EndOfMessage)
        try:
            await self._app(_scope(request), self._receive, self._send)
        except Exception:
            if self._http.our_state is h11.SEND_RESPONSE:
                await asgi.text(self._send, 500, "this could not be answered\n")
            self._is_over = True
            return
        if {self._http.our_state, self._http.their_state} != {h11.DONE}:
            self._is_over = True
        else:
            self._http.start_next_cycle()

    async def _receive(self) -> dict[str, Any]:
        """The request, and then, once the peer has gone, that it has.

        What it says meanwhile is dropped, and it is not heard again.
        """
        if not self._is_told:
            self._is_told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        self._is_over = True
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(_REQUEST_BYTES_MAX):
                pass
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        """A part of the answer. For a peer that has gone there is none."""
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"date", formatdate(usegmt=True).encode())]
            self._write(h11.Response(status_code=message["status"], headers=headers))
            return
        if not self._is_head:
            self._write(h11.Data(data=message.get("body", b"")))
        if not message.get("more_body"):
            self._write(h11.EndOfMessage())
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._writer.drain()
        except (ConnectionError, TimeoutError):
            self._is_over = True
            self._writer.transport.abort()

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data and not self._writer.transport.is_closing():
            self._writer.write(data)


def _scope(request: h11.Request) -> Scope:
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": request.http_version.decode(),
        "method": request.method.decode(),
        "path": path.decode("ascii"),
        "raw_path": path,
        "query_string": query,
        "headers": list(request.headers),
    }
