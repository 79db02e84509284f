"""Passwords in front of an ASGI application (RFC 7617), as bcrypt hashes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping

from agentd.http.asgi import Asgi, Receive, Scope, Send, respond

_KNOWN_MAX = 64
_NOBODY = b"CwTycUXWue0Thq9StjUM0uJ8Vh7mJyOGWVKrT7r8x7jPZMzWvTQpS"
"""Salt and hash of nobody's password: a user who does not exist takes as long as one who does."""


def guarded(app: Asgi, users: Mapping[str, bytes]) -> Asgi:
    """An application that only these users may ask. ``users``: the hash of each one's password."""
    if not users:
        return app
    guard = _Guard(users)

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not await guard.lets_in(scope):
            headers = [(b"www-authenticate", b'Basic realm="agentd", charset="UTF-8"')]
            await respond(
                send, 401, "text/plain; charset=utf-8", b"a password is needed\n", headers
            )
            return
        await app(scope, receive, send)

    return ask


class _Guard:
    """Remembers who was let in: a hash is made to take long, and a scraper comes often."""

    def __init__(self, users: Mapping[str, bytes]) -> None:
        self._users = users
        self._nobody = b"$2b$%s$%s" % (max(map(cost_of, users.values())), _NOBODY)
        self._known: set[bytes] = set()

    async def lets_in(self, scope: Scope) -> bool:
        """Whether the request carries the password of a user."""
        pair = _credentials(dict(scope["headers"]).get(b"authorization", b""))
        if pair is None:
            return False
        user, password = pair
        hashed = self._users.get(user)
        mark = hashlib.sha256(b"\0".join((user.encode(), hashed or b"", password))).digest()
        if mark in self._known:
            return True
        fits = await asyncio.to_thread(_fits, password, hashed or self._nobody)
        if not fits or hashed is None:
            return False
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known.add(mark)
        return True


def cost_of(hashed: bytes) -> bytes:
    """The two digits of a bcrypt hash: one more takes twice as long to check."""
    return hashed[4:6]


def _fits(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # noqa: PLC0415 (memory)

    try:
        return bool(bcrypt.checkpw(password, hashed))
    except ValueError:
        return False


def _credentials(header: bytes) -> tuple[str, bytes] | None:
    scheme, _, value = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None
