"""Questions about the tree, handed to the daemon, which has a copy of itself answer them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

from agentd.http import asgi
from agentd.http.asgi import Send
from agentd.runtime.packing import pack, unpack
from agentd.snapshot.question import BODY, DEADLINE_SECONDS, END, HEAD, MESSAGE_BYTES

_PATIENCE_SECONDS = 10.0
"""How long to ask again before there is no answer."""
_ASKED_MAX = 16
"""Questions at a time, of each door."""


class Questions:
    """Those of one door. ``hand_over`` gives the daemon the other end of a socket."""

    def __init__(self, hand_over: Callable[[socket.socket], None]) -> None:
        self._hand_over = hand_over
        self._asked = 0

    async def answer(self, question: dict[str, Any], send: Send) -> None:
        """Ask, and pass the answer on as it comes."""
        if self._asked >= _ASKED_MAX:
            await _refuse(send, 503, f"{_ASKED_MAX} others ask already")
            return
        self._asked += 1
        try:
            await self._answer(question, send)
        finally:
            self._asked -= 1

    async def _answer(self, question: dict[str, Any], send: Send) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours:
                ours.setblocking(False)
                ours.send(pack(question))
                with theirs:
                    self._hand_over(theirs)
                if await _pass_on(ours, send, deadline):
                    return
            if time.monotonic() >= deadline:
                await _refuse(send, 504, "there was no answer in time")
                return
            await asyncio.sleep(_AGAIN_SECONDS)


_AGAIN_SECONDS = 0.2
"""After a question that was not answered at all: the copy may have ended before its turn."""


async def _pass_on(sock: socket.socket, send: Send, deadline: float) -> bool:
    """Whether there was an answer. Raises OSError if it ended in its middle."""
    head = await _message(sock, deadline - time.monotonic())
    if not head.startswith(HEAD):
        return False
    status, content_type = unpack(head[1:])
    headers = [(b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    while True:
        piece = await _message(sock, DEADLINE_SECONDS)
        if piece == END:
            await send({"type": "http.response.body", "body": b""})
            return True
        if not piece.startswith(BODY):
            raise ConnectionAbortedError("the answer ended before its end")
        await send({"type": "http.response.body", "body": piece[1:], "more_body": True})


async def _message(sock: socket.socket, seconds: float) -> bytes:
    """The next; empty at the end, or if none comes."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await asyncio.get_running_loop().sock_recv(sock, MESSAGE_BYTES)
    except (TimeoutError, ConnectionError):
        return b""


async def _refuse(send: Send, status: int, message: str) -> None:
    await asgi.as_json(send, status, {"error": message})
