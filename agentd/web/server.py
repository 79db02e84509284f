"""Metrics and health over HTTP: an ASGI application, and the server that runs such."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from agentd import asgi, settings
from agentd.asgi import Asgi, Receive, Scope, Send
from agentd.errors import ConfigError, TakenError
from agentd.rules import split_address
from agentd.serving import Server
from agentd.web import page
from agentd.web.basic_auth import guarded
from agentd.web.web_config import WebConfig, web_config_of

_GRACEFUL_SECONDS = 0.2
_CONNECTIONS_MAX = 64
"""Whoever may connect could otherwise take all file descriptors and much memory."""
_PATIENCE_SECONDS = 60.0
_AGAIN_SECONDS = 5.0
"""Until a port that somebody else had is tried again."""


@dataclass(frozen=True, slots=True)
class Health:
    """One answer to a health question."""

    good: bool
    reason: str


def make_app(
    metrics: Asgi,
    healthz: Callable[[], Health],
    readyz: Callable[[], Health],
    on_bug: Callable[[Exception], None],
    more: Mapping[str, Asgi] = MappingProxyType({}),
) -> Asgi:
    """The application: /metrics by Prometheus's own, /healthz and /readyz by the functions.

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
            health = checks[path]()
            await asgi.text(send, 200 if health.good else 503, health.reason + "\n")
        elif path in more:
            await more[path](scope, receive, send)
        else:
            await asgi.text(send, 404, nothing)

    return asgi.application(route, on_bug)


class Door:
    """A listening socket, and who may come in through it how, which may change."""

    def __init__(self, metrics: settings.Metrics, web: WebConfig) -> None:
        self._listen = metrics.listen
        self.sock = socket.socket()
        self.is_open = False
        """Whether it listens."""
        self.changed = asyncio.Event()
        self.change(metrics, web)

    def open(self) -> None:
        """Listen. Raises TakenError if somebody else does, and ConfigError."""
        address = split_address(self._listen)
        assert address is not None  # it has been checked
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock.close()
        try:
            self.sock = socket.create_server(address, family=family)
        except OSError as error:
            raise (TakenError if error.errno == errno.EADDRINUSE else ConfigError)(
                f'metrics.listen = "{self._listen}": cannot listen there: {error.strerror}',
                "another port, or --set metrics.listen= to do without",
            ) from None
        self.is_open = True

    def close(self) -> None:
        """Let nobody in any more."""
        self.sock.close()

    async def opened(self, stopping: asyncio.Future[Any]) -> None:
        """Try until it listens, or it is time to stop."""
        while not self.is_open and not stopping.done():
            await asyncio.wait((stopping,), timeout=_AGAIN_SECONDS)
            with contextlib.suppress(TakenError):
                self.open()

    def change(self, metrics: settings.Metrics, web_config: WebConfig) -> None:
        """Let others in, or in another way, from now on."""
        self.web_config = web_config
        self.has_page = page.is_wanted(metrics, web_config)
        self.changed.set()

    @property
    def asks_who_comes(self) -> bool:
        """Whether nobody comes in without a password or a certificate."""
        return page.asks_who_comes(self.web_config)

    def page(self, answers: Asgi) -> dict[str, Asgi]:
        """What a browser asks for, by path; nothing where there is to be no page."""
        if not self.has_page:
            return {}
        secure = self.asks_who_comes or self.web_config.tls is not None
        return page.make_page(answers, _anything if secure else page.is_own_name)


def door(metrics: settings.Metrics, log: Any, *, waits: bool = False) -> Door | None:
    """What the configuration asks for. Raises ConfigError if it cannot be had.

    One that ``waits`` for a port that somebody else has opens later: who takes it while agentd
    restarts must not keep a service from everything else.
    """
    if not metrics.listen:
        return None
    door = Door(metrics, web_config_of(metrics))
    try:
        door.open()
    except ConfigError as error:
        if not waits or not isinstance(error, TakenError):
            raise
        log.error("the metrics port is taken", listen=metrics.listen)
    return door


def _anything(host: str) -> bool:
    return True


async def run(make: Callable[[], Asgi], door: Door, stop: Callable[[], Awaitable[Any]]) -> None:
    """Serve at a door until ``stop`` returns; anew, with an application made anew, when it changes.

    Who comes in between waits in the socket's queue.
    """
    stopping = asyncio.ensure_future(stop())
    try:
        await door.opened(stopping)
        while not stopping.done():
            door.changed.clear()
            changed = asyncio.ensure_future(door.changed.wait())
            ends = partial(asyncio.wait, (stopping, changed), return_when=asyncio.FIRST_COMPLETED)
            app = guarded(make(), door.web_config.users)
            app = _with_headers(app, door.web_config.headers)
            await _server(door, app).run(ends, _GRACEFUL_SECONDS)
            changed.cancel()
    finally:
        stopping.cancel()


def _server(door: Door, app: Asgi) -> Server:
    tls = door.web_config.tls
    context = None if tls is None else tls.context()
    return Server(door.sock, lambda connection: app, _CONNECTIONS_MAX, context, _PATIENCE_SECONDS)


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
