"""Metrics and health over HTTP: an ASGI application, and the server that runs such."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig

from agentd import asgi, settings
from agentd.asgi import Asgi, Receive, Scope, Send
from agentd.errors import ConfigError
from agentd.rules import split_address
from agentd.web.basic_auth import guarded
from agentd.web.web_config import WebConfig, web_config_of

GRACEFUL_SECONDS = 0.2


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
) -> Asgi:
    """The application: /metrics by Prometheus's own, /healthz and /readyz by the functions."""
    checks = {"/healthz": healthz, "/readyz": readyz}

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/metrics":
            await metrics(scope, receive, send)
        elif path in checks:
            health = checks[path]()
            await asgi.text(send, 200 if health.good else 503, health.reason + "\n")
        else:
            await asgi.text(send, 404, "there is /metrics, /healthz and /readyz\n")

    return asgi.application(route, on_bug)


@dataclass(frozen=True, slots=True)
class Door:
    """A listening socket, and who may come in through it how."""

    sock: socket.socket
    web_config: WebConfig


def door(metrics: settings.Metrics) -> Door | None:
    """What the configuration asks for. Raises ConfigError if it cannot be had."""
    if not metrics.listen:
        return None
    web_config = web_config_of(metrics)
    return Door(_bind(metrics.listen), web_config)


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
    if (tls := door.web_config.tls) is not None:
        config.certfile, config.keyfile = tls.cert_file, tls.key_file
        config.ca_certs, config.verify_mode = tls.client_ca_file, tls.verify_mode
    config.errorlog = logging.getLogger("hypercorn.error")
    config.errorlog.setLevel(logging.ERROR)
    guard = guarded(app, door.web_config.users)
    await serve(guard, config, shutdown_trigger=stop)  # type: ignore[arg-type]
