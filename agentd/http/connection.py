"""One connection: requests of HTTP/1.1 and their answers, one after another, as h11 reads them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import h11

from agentd.http import asgi
from agentd.http.asgi import Asgi, Scope

_REQUEST_BYTES_MAX = 16384
_REQUEST_SECONDS = 10.0
"""How long a request may take to come, from the connection or from the answer before."""
_ANSWER_BYTES = 512 << 10
"""What of an answer may wait for its reader here. So who makes it is done sooner."""


@dataclass(slots=True)
class Place:
    """That of one connection."""

    address: str
    """Whose it is; empty over a Unix socket."""
    waits_since: float | None
    """When it began to wait for a request (CLOCK_MONOTONIC); None while one is being answered."""
    begun: bool = False
    """Whether anybody has looked at it yet."""

    def waits(self, before: float) -> bool:
        """Whether it has waited for a request since before that."""
        return self.waits_since is not None and self.waits_since <= before


class Conversation:
    """Requests and answers over one connection."""

    def __init__(
        self,
        app: Asgi,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        place: Place,
        patience_seconds: float | None,
    ) -> None:
        writer.transport.set_write_buffer_limits(_ANSWER_BYTES)
        self._app = app
        self._place = place
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
            self._place.waits_since = None
            await self._answer(request)
            self._place.waits_since = time.monotonic()
            await asyncio.sleep(0)  # others have their turn, though the next request is here

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
