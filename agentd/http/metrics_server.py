"""Metrics and health over HTTP: an ASGI application, and the server that runs such."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from agentd.config import schema
from agentd.http import allowed_hosts, asgi, dashboard
from agentd.http.asgi import Asgi, Receive, Scope, Send
from agentd.http.basic_auth import guarded
from agentd.http.server import Server, Visitors
from agentd.http.web_config import WebConfig

_GRACEFUL_SECONDS = 0.2
_CONNECTIONS_MAX = 64
"""Whoever may connect could otherwise take all file descriptors and much memory."""
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """One answer to a health question."""

    good: bool
    reason: str


Check = Callable[[], Awaitable[Health]]


def make_app(
    metrics: Asgi,
    healthz: Check,
    readyz: Check,
    on_failure: Callable[[Exception], None],
    more: Mapping[str, Asgi] = MappingProxyType({}),
) -> Asgi:
    """The application: /metrics, and /healthz and /readyz by the functions.

    ``more``: what else there is, by path.
    """
    checks = {"/healthz": healthz, "/readyz": readyz}
    others = "/metrics, /healthz and /readyz"
    nothing = f"there is {', '.join([*more, others])}\n"

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/metrics":
            await metrics(scope, receive, send)
        elif path in checks:
            health = await checks[path]()
            await asgi.text(send, 200 if health.good else 503, health.reason + "\n")
        elif path in more:
            await more[path](scope, receive, send)
        else:
            await asgi.text(send, 404, nothing)

    return asgi.application(route, on_failure)


class Door:
    """A listening socket, and who may come in through it how, which may change."""

    def __init__(self, sock: socket.socket, metrics: schema.Metrics, web: WebConfig) -> None:
        self.sock = sock
        self.changed = asyncio.Event()
        self.change(metrics, web)

    def change(self, metrics: schema.Metrics, web_config: WebConfig) -> None:
        """Let others in, or in another way, from now on."""
        self.web_config = web_config
        self.has_page = dashboard.is_wanted(metrics, web_config)
        self.changed.set()

    @property
    def asks_who_comes(self) -> bool:
        """Whether nobody comes in without a password or a certificate."""
        return dashboard.asks_who_comes(self.web_config)

    def page(self, answers: Asgi) -> dict[str, Asgi]:
        """What a browser asks for, by path; nothing where there is to be no page."""
        return dashboard.make_page(answers) if self.has_page else {}

    def guard(self, app: Asgi) -> Asgi:
        """An application behind passwords, and for no page of another site."""
        app = guarded(app, self.web_config.users)
        secure = self.asks_who_comes or self.web_config.tls is not None

        async def ask(scope: Scope, receive: Receive, send: Send) -> None:
            if allowed_hosts.is_cross_site(scope):
                await asgi.text(send, 403, "not for other sites\n")
            elif not secure and not allowed_hosts.is_own_host(scope):
                await asgi.text(send, 403, "ask by address, as localhost, or by this host's name\n")
            else:
                await app(scope, receive, send)

        return ask


async def run(
    make: Callable[[], Asgi],
    door: Door,
    stop: Callable[[], Awaitable[Any]],
    visitors: Visitors | None = None,
) -> None:
    """Serve at a door until ``stop`` returns; anew, with an application made anew, when it changes.

    Who comes in between waits in the socket's queue.
    """
    stopping = asyncio.ensure_future(stop())
    try:
        while not stopping.done():
            door.changed.clear()
            changed = asyncio.ensure_future(door.changed.wait())
            ends = partial(asyncio.wait, (stopping, changed), return_when=asyncio.FIRST_COMPLETED)
            app = _with_headers(door.guard(make()), door.web_config.headers)
            await _server(door, app, visitors).run(ends, _GRACEFUL_SECONDS)
            changed.cancel()
    finally:
        stopping.cancel()


def _server(door: Door, app: Asgi, visitors: Visitors | None) -> Server:
    tls = door.web_config.tls
    context = None if tls is None else tls.context()
    return Server(
        door.sock,
        lambda connection: app,
        _CONNECTIONS_MAX,
        context,
        patience_seconds=_PATIENCE_SECONDS,
        visitors=visitors,
    )


def _with_headers(app: Asgi, headers: Mapping[str, str]) -> Asgi:
    """An application whose answers have these headers, where they have none of that name."""
    if not headers:
        return app
    more = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                added = [header for header in more if header[0] not in there]
                message = message | {"headers": [*message["headers"], *added]}
            await send(message)

        await app(scope, receive, answer)

    return ask
