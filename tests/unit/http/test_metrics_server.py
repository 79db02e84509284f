"""agentd.http.metrics_server"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from agentd.config.schema import Metrics
from agentd.http import asgi, metrics_server
from agentd.http.metrics_server import Door, Health
from agentd.http.web_config import WebConfig


async def _metrics(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"some 1\n"})


async def _broken() -> Health:
    raise ZeroDivisionError


async def _good() -> Health:
    return Health(True, "ok")


async def _bad() -> Health:
    return Health(False, "no")


def _app() -> asgi.Asgi:
    failures: list[Exception] = []
    return metrics_server.make_app(_metrics, _good, _bad, failures.append)


def _door() -> Door:
    return Door(socket.create_server(("127.0.0.1", 0)), Metrics(), WebConfig())


def _ask(app: asgi.Asgi, path: str, method: str = "GET") -> tuple[int, bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def ask() -> None:
        await app({"type": "http", "path": path, "method": method}, receive, send)

    asyncio.run(ask())
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "method", "status", "body"),
    [
        ("/metrics", "GET", 200, b"some 1\n"),
        ("/healthz", "GET", 200, b"ok\n"),
        ("/readyz", "HEAD", 503, b"no\n"),
        ("/nothing", "GET", 404, b"there is /metrics, /healthz and /readyz\n"),
        ("/metrics", "POST", 405, b"only GET\n"),
    ],
)
def test_routes(path: str, method: str, status: int, body: bytes) -> None:
    """Each path answers what it should."""
    assert _ask(_app(), path, method) == (status, body)


def test_a_failure_while_answering_is_noted() -> None:
    """The server then answers with an error; whoever counts failures hears of it first."""
    failures: list[Exception] = []
    app = metrics_server.make_app(_metrics, _broken, _broken, failures.append)
    with pytest.raises(ZeroDivisionError):
        _ask(app, "/healthz")
    assert isinstance(failures[0], ZeroDivisionError)


def test_it_serves_and_stops_with_a_connection_open() -> None:
    """A real server answers, and an idle connection does not keep it from stopping."""
    door = _door()
    port = door.sock.getsockname()[1]

    def ask() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            body: bytes = answer.read()
            return body

    async def main() -> bytes:
        stop = asyncio.Event()
        serving = asyncio.create_task(metrics_server.run(_app, door, stop.wait))
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(None, ask)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        stop.set()
        async with asyncio.timeout(30):
            await serving
        writer.close()
        return body

    start = time.monotonic()
    with door.sock:
        assert asyncio.run(main()) == b"some 1\n"
    assert time.monotonic() - start < 30


def test_a_door_that_changes() -> None:
    """Who comes next is let in as it says now; nobody is refused a connection meanwhile."""
    door = _door()
    url = f"http://127.0.0.1:{door.sock.getsockname()[1]}/metrics"

    def ask() -> tuple[int, str | None]:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status, answer.headers["X-Frame-Options"]
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                return error.code, error.headers["X-Frame-Options"]

    async def main() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(metrics_server.run(_app, door, stop.wait))
        for web_config, wanted in (
            (WebConfig(), (200, None)),
            (WebConfig(headers={"X-Frame-Options": "deny"}), (200, "deny")),
            (WebConfig(users={"alice": b"$2b$04$"}), (401, None)),
        ):
            door.change(Metrics(), web_config)
            async with asyncio.timeout(30):
                while await asyncio.to_thread(ask) != wanted:
                    pass
        stop.set()
        await serving

    with door.sock:
        asyncio.run(main())
