"""Metrics and health over HTTP: an ASGI application, and the server that runs such."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig

from agentd import asgi, settings
from agentd.asgi import Asgi, Receive, Scope, Send
from agentd.errors import ConfigError
from agentd.rules import split_address
from agentd.web import page
from agentd.web.basic_auth import guarded
from agentd.web.bounded import CONNECTIONS_MAX, bounded
from agentd.web.web_config import WebConfig, web_config_of

GRACEFUL_SECONDS = 0.2
_HANDSHAKE_SECONDS = 5
"""As long as hypercorn lets a connection be idle."""


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


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket, and who may come in through it how."""

    sock: socket.socket
    web_config: WebConfig
    has_page: bool = False

    def page(self, answers: Asgi) -> dict[str, Asgi]:
        """What a browser asks for, by path; nothing where there is to be no page."""
        if not self.has_page:
            return {}
        secure = page.asks_who_comes(self.web_config) or self.web_config.tls is not None
        return page.make_page(answers, _anything if secure else page.is_own_name)


def door(metrics: settings.Metrics) -> Door | None:
    """What the configuration asks for. Raises ConfigError if it cannot be had."""
    if not metrics.listen:
        return None
    web_config = web_config_of(metrics)
    return Door(_bind(metrics.listen), web_config, page.is_wanted(metrics, web_config))


def _anything(host: str) -> bool:
    return True


def _bind(listen: str) -> socket.socket:
    """A listening socket at a checked ``address:port``."""
    address = split_address(listen)
    assert address is not None
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        raise ConfigError(
            f'metrics.listen = "{listen}": cannot listen there: {error.strerror}',
            "another port, or --set metrics.listen= to do without",
        ) from None


async def run(app: Asgi, door: Door, stop: Callable[[], Awaitable[Any]]) -> None:
    """Serve at a door, which is closed in the end, until ``stop`` returns."""
    config = HypercornConfig()
    config.bind = [f"fd://{door.sock.detach()}"]
    config.graceful_timeout = GRACEFUL_SECONDS
    config.include_server_header = False
    config.ssl_handshake_timeout = _HANDSHAKE_SECONDS
    if (tls := door.web_config.tls) is not None:
        config.certfile, config.keyfile = tls.cert_file, tls.key_file
        config.ca_certs, config.verify_mode = tls.client_ca_file, tls.verify_mode
    config.errorlog = logging.getLogger("hypercorn.error")
    config.errorlog.setLevel(logging.ERROR)
    guard = guarded(app, door.web_config.users)
    with bounded(asyncio.get_running_loop(), CONNECTIONS_MAX):
        await serve(guard, config, shutdown_trigger=stop)  # type: ignore[arg-type]
