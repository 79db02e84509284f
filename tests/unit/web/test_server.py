"""agentd.web.server"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
import structlog

from agentd import asgi
from agentd.errors import ConfigError, TakenError
from agentd.settings import Metrics
from agentd.web import server
from agentd.web.server import Health
from agentd.web.web_config import WebConfig

_NO_LOG = None
"""Where nothing is to be logged."""


async def _metrics(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"some 1\n"})


def _broken() -> Health:
    raise ZeroDivisionError


def _app(bugs: list[Exception] | None = None) -> asgi.Asgi:
    bugs = [] if bugs is None else bugs
    return server.make_app(
        _metrics, lambda: Health(True, "ok"), lambda: Health(False, "no"), bugs.append
    )


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


def test_a_bug_in_an_answer_is_told() -> None:
    """An exception while answering reaches the daemon, not only the server's log."""
    bugs: list[Exception] = []
    app = server.make_app(_metrics, _broken, _broken, bugs.append)
    with pytest.raises(ZeroDivisionError):
        _ask(app, "/healthz")
    assert isinstance(bugs[0], ZeroDivisionError)


def test_a_taken_port_is_named() -> None:
    """A port in use is an error with its address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TakenError, match=f"127.0.0.1:{port}"):
            server.door(Metrics(listen=f"127.0.0.1:{port}"), _NO_LOG)


def test_an_address_that_is_not_ours_is_named() -> None:
    """That is a mistake in the configuration, and trying again would not help."""
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1") as raised:
        server.door(Metrics(listen="192.0.2.1:9847"), _NO_LOG, waits=True)
    assert raised.value.exit_code == 78


def test_a_door_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the port keeps nobody from starting; when it is free again, there is an answer."""
    monkeypatch.setattr(server, "_AGAIN_SECONDS", 0.01)
    told: list[str] = []

    class Log:
        """Remembers what it was told."""

        def error(self, event: str, **fields: str) -> None:
            """A line."""
            told.append(event)

    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]

    def ask() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            body: bytes = answer.read()
            return body

    async def main() -> bytes:
        door = server.door(Metrics(listen=f"127.0.0.1:{port}"), Log(), waits=True)
        assert door is not None
        assert not door.is_open
        stop = asyncio.Event()
        serving = asyncio.create_task(server.run(_app, door, stop.wait))
        await asyncio.sleep(0.1)
        taken.close()
        body = b""
        while not body:
            with contextlib.suppress(urllib.error.URLError):
                body = await asyncio.to_thread(ask)
        stop.set()
        await serving
        door.close()
        return body

    assert asyncio.run(main()) == b"some 1\n"
    assert told == ["the metrics port is taken"]


def test_a_door_that_waits_in_vain() -> None:
    """It does not hold up the end."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            door = server.door(Metrics(listen=listen), structlog.get_logger(), waits=True)
            assert door is not None
            stop = asyncio.Event()
            serving = asyncio.create_task(server.run(_app, door, stop.wait))
            await asyncio.sleep(0.01)
            stop.set()
            async with asyncio.timeout(30):
                await serving
            door.close()

    asyncio.run(main())


def test_it_serves_and_stops_with_a_connection_open() -> None:
    """A real server answers, and an idle connection does not keep it from stopping."""
    door = server.door(Metrics(listen="127.0.0.1:0"), _NO_LOG)
    assert door is not None
    port = door.sock.getsockname()[1]

    def ask() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            body: bytes = answer.read()
            return body

    async def main() -> bytes:
        stop = asyncio.Event()
        serving = asyncio.create_task(server.run(_app, door, stop.wait))
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
    with contextlib.closing(door):
        assert asyncio.run(main()) == b"some 1\n"
    assert time.monotonic() - start < 30


def test_a_door_that_changes() -> None:
    """Who comes next is let in as it says now; nobody is refused a connection meanwhile."""
    metrics = Metrics(listen="127.0.0.1:0")
    door = server.door(metrics, _NO_LOG)
    assert door is not None
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
        serving = asyncio.create_task(server.run(_app, door, stop.wait))
        for web_config, wanted in (
            (WebConfig(), (200, None)),
            (WebConfig(headers={"X-Frame-Options": "deny"}), (200, "deny")),
            (WebConfig(users={"alice": b"$2b$04$"}), (401, None)),
        ):
            door.change(metrics, web_config)
            async with asyncio.timeout(30):
                while await asyncio.to_thread(ask) != wanted:
                    pass
        stop.set()
        await serving

    with contextlib.closing(door):
        asyncio.run(main())
