"""Serves an ASGI application at the control socket, to those who may ask.

Who connects is known from the kernel (SO_PEERCRED and SO_PEERGROUPS, unix(7)), which no HTTP
server at hand passes on: so connections are accepted here, and h11 speaks the protocol. One
request a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import h11

from agentd.asgi import Asgi, Scope

_REQUEST_BYTES_MAX = 16384
_REQUEST_SECONDS = 10.0
_CONNECTIONS_MAX = 32
_WAITING_MAX = 64
"""Beyond that many nobody is heard: a file descriptor each, until they have said what they want."""
_SO_PEERGROUPS = 59
"""include/uapi/asm-generic/socket.h"""
_GROUPS_BYTES = 1024
"""Python takes no more; so beyond 256 groups only the first one counts."""
_UCRED = struct.Struct("3i")


async def run(
    app: Asgi,
    listening: socket.socket,
    stop: Callable[[], Awaitable[Any]],
    on_bug: Callable[[Exception], None],
) -> None:
    """Serve until ``stop`` returns; what is still being answered then is cut off."""
    server = _Server(app, on_bug, group=os.stat(listening.getsockname()).st_gid)
    accepting = await asyncio.start_unix_server(server.serve, sock=listening.dup())
    async with accepting:
        await stop()
        accepting.close()
        await server.end()


class _Server:
    def __init__(self, app: Asgi, on_bug: Callable[[Exception], None], group: int) -> None:
        self._app = app
        self._on_bug = on_bug
        self._group = group
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from beginning to end."""
        if len(self._tasks) >= _WAITING_MAX:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._answer(_Exchange(reader, writer))
        except asyncio.CancelledError:
            pass  # it is the end
        except Exception as bug:
            self._on_bug(bug)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        """Cut off who is still there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, exchange: _Exchange) -> None:
        async with asyncio.timeout(_REQUEST_SECONDS):
            request = await exchange.request()
        if exchange.is_over:
            return
        if request is None:
            await exchange.refuse(400, "not an HTTP request that agentd understands")
        elif not may_ask(exchange.peer(), self._group, os.geteuid()):
            await exchange.refuse(403, "only root, agentd's user and the socket's group may ask")
        elif len(self._tasks) > _CONNECTIONS_MAX:
            await exchange.refuse(503, f"there are {_CONNECTIONS_MAX} others asking already")
        else:
            await self._app(_scope(request), exchange.receive, exchange.send)


def may_ask(peer: tuple[int, set[int]], group: int, own_uid: int) -> bool:
    """Whether a peer, its user and groups, is let in."""
    uid, groups = peer
    return uid in (0, own_uid) or group in groups


class _Exchange:
    """A request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_REQUEST_BYTES_MAX)

    @property
    def is_over(self) -> bool:
        """Whether the peer left without a word."""
        return self._http.our_state is h11.MUST_CLOSE

    def peer(self) -> tuple[int, set[int]]:
        """Its user, and all its groups, as they were when it connected."""
        fd = os.dup(self._writer.get_extra_info("socket").fileno())
        with socket.socket(fileno=fd) as sock:
            ucred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            groups = _more_groups(sock)
        _pid, uid, gid = _UCRED.unpack(ucred)
        return uid, {gid, *groups}

    async def request(self) -> h11.Request | None:
        """The request; None if it is none. Its body, if any, is nobody's."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                return None
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None
            self._http.receive_data(await self._reader.read(_REQUEST_BYTES_MAX))

    async def refuse(self, status: int, message: str) -> None:
        """Answer with an error."""
        body = json.dumps({"error": message}).encode() + b"\n"
        headers = [(b"content-type", b"application/json")]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def receive(self) -> dict[str, Any]:
        """Returns when the peer has gone."""
        while await self._reader.read(_REQUEST_BYTES_MAX):
            pass
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"connection", b"close")]
            self._write(h11.Response(status_code=message["status"], headers=headers))
        else:
            self._write(h11.Data(data=message.get("body", b"")))
            if not message.get("more_body"):
                self._write(h11.EndOfMessage())
        await self._writer.drain()

    def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)


def _more_groups(sock: socket.socket) -> list[int]:
    try:
        groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        return []
    return memoryview(groups).cast("I").tolist()


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
