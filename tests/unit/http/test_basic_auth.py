"""agentd.http.basic_auth"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import bcrypt
import pytest

from agentd.http import asgi
from agentd.http.basic_auth import guarded

USERS = {"alice": bcrypt.hashpw(b"pass:word", bcrypt.gensalt(4))}


async def _app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await asgi.text(send, 200, "inside")


def _basic(pair: bytes) -> bytes:
    return b"Basic " + base64.b64encode(pair)


def _ask(app: asgi.Asgi, *authorizations: bytes) -> list[int]:
    """The status for each header."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing is read")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def ask() -> None:
        for value in authorizations:
            headers = [(b"authorization", value)] if value else []
            await app({"type": "http", "headers": headers}, receive, send)

    asyncio.run(ask())
    return [message["status"] for message in sent if "status" in message]


def test_without_users_everybody_comes_in() -> None:
    """There is no guard where nobody is named."""
    assert guarded(_app, {}) is _app


def test_the_right_password_comes_in_again_and_again() -> None:
    """The first time by its hash, and then because it is known."""
    app = guarded(_app, USERS)
    assert _ask(app, *[_basic(b"alice:pass:word")] * 3) == [200] * 3


@pytest.mark.parametrize(
    "header",
    [b"", b"Basic", b"Basic !!", b"Bearer x", _basic(b"alice"), _basic(b"alice:wrong"),
     _basic(b"bob:pass:word"), _basic(b"\xff:pass:word"), _basic(b"alice:pass:word\0")],
)  # fmt: skip
def test_anything_else_stays_out(header: bytes) -> None:
    """Also after the right password has been seen."""
    app = guarded(_app, USERS)
    assert _ask(app, _basic(b"alice:pass:word"), header, header) == [200, 401, 401]
