"""What ASGI applications have in common (https://asgi.readthedocs.io)."""

from __future__ import annotations

import errno
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
Asgi = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

_NOT_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What the host lacks for a while: that one answer fails."""


def application(route: Asgi, on_failure: Callable[[Exception], None]) -> Asgi:
    """An application that only reads: what else is asked is refused.

    Where it fails the server answers with an error and goes on; ``on_failure`` hears of it first.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] in ("GET", "HEAD"):
                await route(scope, receive, send)
            else:
                await text(send, 405, "only GET\n")
        except Exception as failure:
            if not (isinstance(failure, OSError) and failure.errno in _NOT_OURS):
                on_failure(failure)
            raise

    return app


async def text(send: Send, status: int, body: str) -> None:
    """Answer with plain text."""
    await respond(send, status, "text/plain; charset=utf-8", body.encode())


async def as_json(send: Send, status: int, value: dict[str, Any]) -> None:
    """Answer with an object of JSON."""
    await respond(send, status, "application/json", json.dumps(value).encode() + b"\n")


async def respond(
    send: Send, status: int, content_type: str, body: bytes, more: Sequence[Header] = ()
) -> None:
    """Answer with a whole body."""
    headers = [(b"content-type", content_type.encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def gone(receive: Receive) -> None:
    """Return when the peer has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
