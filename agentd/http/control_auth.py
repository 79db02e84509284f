"""Answers at the control socket, to those who may ask.

Who connects is known from the kernel: SO_PEERCRED and SO_PEERGROUPS, unix(7).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from agentd.http import asgi
from agentd.http.asgi import Asgi, Receive, Scope, Send
from agentd.http.server import Server, Visitors

_ANSWERED_MAX = 32
_CONNECTIONS_MAX = 64
"""Beyond those that are answered, the rest are told that it is too many."""
_SO_PEERGROUPS = 59
"""include/uapi/asm-generic/socket.h"""
_GROUPS_BYTES = 1024
"""Python takes no more; so beyond 256 groups only the first one counts."""
_UCRED = struct.Struct("3i")


async def run(
    app: Asgi,
    listening: socket.socket,
    stop: Callable[[], Awaitable[Any]],
    visitors: Visitors | None = None,
) -> None:
    """Serve until ``stop`` returns; what is still being answered then is cut off."""
    group = os.stat(listening.getsockname()).st_gid

    def app_for(connection: socket.socket) -> Asgi:
        if not may_ask(_peer(connection), group, os.geteuid()):
            return _refusal(403, "only root, agentd's user and the socket's group may ask")
        if server.connected > _ANSWERED_MAX:
            return _refusal(503, f"there are {_ANSWERED_MAX} others asking already")
        return app

    server = Server(listening, app_for, _CONNECTIONS_MAX, visitors=visitors)
    await server.run(stop)


def may_ask(peer: tuple[int, set[int]], group: int, own_uid: int) -> bool:
    """Whether a peer, its user and groups, is let in."""
    uid, groups = peer
    return uid in (0, own_uid) or group in groups


def _peer(connection: socket.socket) -> tuple[int, set[int]]:
    """Its user, and all its groups, as they were when it connected."""
    ucred = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _pid, uid, gid = _UCRED.unpack(ucred)
    return uid, {gid, *_more_groups(connection)}


def _more_groups(connection: socket.socket) -> list[int]:
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        return []
    return memoryview(groups).cast("I").tolist()


def _refusal(status: int, message: str) -> Asgi:
    """An application that answers everything with an error."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await asgi.as_json(send, status, {"error": message})

    return refuse
