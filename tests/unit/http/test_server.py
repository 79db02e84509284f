"""agentd.http.server"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from agentd.http import asgi, connection, server
from agentd.http.server import Server
from tests.certificate import make_certificate

LIMIT = 3
BIG_BYTES = 1 << 24
"""More than lies in the buffers of a connection."""
BIG_PARTS = 16
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _App:
    """Says which path was asked for; some paths are special."""

    def __init__(self) -> None:
        self.held = 0
        self.ended: list[str] = []

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """One request."""
        path = scope["path"]
        if path == "/hold":
            self.held += 1
            await asgi.gone(receive)
            self.held -= 1
        elif path == "/bug":
            raise ZeroDivisionError
        elif path == "/late-bug":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"some", "more_body": True})
            raise ZeroDivisionError
        elif path == "/big":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(BIG_PARTS):
                part = bytes(BIG_BYTES // BIG_PARTS)
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        else:
            await asgi.text(send, 200, f"{scope['method']} {path}\n")
        self.ended.append(path)


def _serving(
    loop: Loop,
    test: Callable[[_App, int], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    patience_seconds: float | None = None,
) -> None:
    async def main() -> None:
        app, stop = _App(), asyncio.Event()
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server = Server(sock, lambda _: app, LIMIT, tls, patience_seconds=patience_seconds)
            task = asyncio.create_task(server.run(stop.wait))
            async with asyncio.timeout(30):
                await test(app, sock.getsockname()[1])
                stop.set()
                await task

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def _ask(path: str, method: str = "GET", version: str = "1.1", more: str = "") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\n{more}\r\n".encode()


async def _said(port: int, request: bytes) -> bytes:
    """All that comes back to somebody who says nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@LOOPS
def test_one_request_after_the_other(loop: Loop) -> None:
    """A connection is kept, and what was said too early is not lost."""

    async def test(app: _App, port: int) -> None:
        answer = await _said(port, _ask("/one") + _ask("/two"))
        assert answer.index(b"GET /one\n") < answer.index(b"GET /two\n")
        assert answer.count(b"HTTP/1.1 200 ") == 2
        assert answer.lower().count(b"\ndate: ") == 2

    _serving(loop, test)


@pytest.mark.parametrize(
    ("request_bytes", "status", "text"),
    [
        (_ask("/x", "HEAD"), b"200", b""),
        (_ask("/x", version="1.0") + _ask("/y"), b"200", b"GET /x\n"),
        (_ask("/x", more="Connection: close\r\n") + _ask("/y"), b"200", b"GET /x\n"),
        (_ask("/x", "POST", more="Content-Length: 4\r\n") + b"body", b"200", b"POST /x\n"),
        (b"nonsense\r\n\r\n", b"400", b"not an HTTP request\n"),
        (b"GET / HTT", b"400", b"not an HTTP request\n"),
        (b"\0" * 40000, b"400", b"not an HTTP request\n"),
        (b"GET /" + b"x" * 20000, b"431", b"not an HTTP request\n"),
        (_ask("/bug") + _ask("/x"), b"500", b"this could not be answered\n"),
    ],
    ids=["head", "1.0", "close", "body", "nonsense", "cut", "garbage", "too-long", "bug"],
)
def test_how_it_ends(request_bytes: bytes, status: bytes, text: bytes) -> None:
    """One answer, and then the end, where a connection cannot go on."""

    async def test(app: _App, port: int) -> None:
        answer = await _said(port, request_bytes)
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 " + status)
        assert text in body
        assert answer.count(b"HTTP/1.1 ") == 1
        assert bool(body) == bool(text)

    _serving(asyncio.new_event_loop, test)


def test_who_says_nothing_gets_nothing() -> None:
    """A connection without a word is closed, and reaches no application."""

    async def test(app: _App, port: int) -> None:
        assert await _said(port, b"") == b""
        assert not app.ended

    _serving(asyncio.new_event_loop, test)


def test_an_answer_that_breaks_off() -> None:
    """It has no end, so that nobody takes it for whole."""

    async def test(app: _App, port: int) -> None:
        answer = await _said(port, _ask("/late-bug") + _ask("/x"))
        assert answer.endswith(b"some\r\n")

    _serving(asyncio.new_event_loop, test)


@LOOPS
def test_the_rest_wait_until_somebody_leaves(loop: Loop) -> None:
    """Never more than the limit are connected; who waits has its turn."""

    async def test(app: _App, port: int) -> None:
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMIT + 1)]
        for _, writer in pairs[:LIMIT]:
            writer.write(_ask("/hold"))
        await _until(lambda: app.held == LIMIT)
        last_reader, last_writer = pairs[-1]
        last_writer.write(_ask("/x"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await last_reader.readline()
        pairs[0][1].close()
        assert b" 200 " in await last_reader.readline()
        for _, writer in pairs:
            writer.close()
        await _until(lambda: app.held == 0)

    _serving(loop, test)


@LOOPS
def test_who_asks_nothing_makes_room(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes gets the place of the connection that has asked nothing for longest."""
    monkeypatch.setattr(server, "_GRACE_SECONDS", 0.01)

    async def test(app: _App, port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMIT)]
        holding = idle[0][1]
        holding.write(_ask("/hold"))
        await _until(lambda: app.held == 1)
        for _ in range(LIMIT):
            assert b"GET /x\n" in await _said(port, _ask("/x"))
        assert await idle[1][0].read() == b""
        assert app.held == 1
        for _, writer in idle:
            writer.close()
        await _until(lambda: app.held == 0)

    _serving(loop, test)


@LOOPS
def test_each_connection_has_its_turn(loop: Loop) -> None:
    """Thousands of requests that come at once do not keep another from its answer."""
    many = 3000

    async def test(app: _App, port: int) -> None:
        _, hasty = await asyncio.open_connection("127.0.0.1", port)
        hasty.write(_ask("/many", "HEAD") * many)
        await _until(lambda: bool(app.ended))
        assert b"GET /x\n" in await _said(port, _ask("/x"))
        assert app.ended.count("/many") < many
        hasty.transport.abort()

    _serving(loop, test)


@LOOPS
def test_who_breaks_off_makes_room(loop: Loop) -> None:
    """A reset is an end, in the middle of an answer too, and no bug of who answers."""

    async def test(app: _App, port: int) -> None:
        for _ in range(2 * LIMIT):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                linger = (1).to_bytes(4, "little") + bytes(4)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                sock.sendall(_ask("/big"))
                await asyncio.sleep(0.01)
        await _until(lambda: len(app.ended) == 2 * LIMIT)
        assert b"GET /x\n" in await _said(port, _ask("/x"))

    _serving(loop, test)


@LOOPS
def test_who_speaks_no_tls_makes_room(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence is borne as long as a handshake may take, nonsense not so long."""
    monkeypatch.setattr(server, "_HANDSHAKE_SECONDS", 0.3)
    make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")

    async def test(app: _App, port: int) -> None:
        bad = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * LIMIT)]
        bad[0][1].write(_ask("/x"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.write(_ask("/x"))
        assert b" 200 " in await reader.readline()
        for _, each in [*bad, (reader, writer)]:
            each.close()

    _serving(loop, test, tls)


@LOOPS
@pytest.mark.parametrize("request_bytes", [b"", b"GET /x HT", _ask("/big")])
def test_who_holds_a_place_loses_it(
    loop: Loop, request_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who says nothing, or half of it, or does not fetch the answer's end, is cut off."""
    monkeypatch.setattr(connection, "_REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(server, "_LAST_BYTES_SECONDS", 0.1)

    async def test(app: _App, port: int) -> None:
        holding = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * LIMIT)]
        for sock in holding:
            sock.sendall(request_bytes)
        assert b"GET /x\n" in await _said(port, _ask("/x"))
        if request_bytes == _ask("/big"):
            assert app.ended[:LIMIT] == ["/big"] * LIMIT
        for sock in holding:
            sock.close()

    _serving(loop, test, patience_seconds=0.1)


@LOOPS
def test_without_file_descriptors_it_goes_on_later(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be accepted waits until it can."""
    monkeypatch.setattr(server, "_AGAIN_SECONDS", 0.01)

    async def test(app: _App, port: int) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(_ask("/hold"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            await asyncio.sleep(0.1)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await _until(lambda: app.held == 1)
            sock.close()
            await _until(lambda: app.held == 0)

    _serving(loop, test)


@LOOPS
def test_a_server_that_stops_takes_no_connection_along(loop: Loop) -> None:
    """Whichever turn of the loop it stops in: who just came is answered by the next server."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            for turns in range(10):
                reader, writer = await asyncio.open_connection(*sock.getsockname())
                writer.write(_ask("/", more="Connection: close\r\n"))

                async def stop(turns: int = turns) -> None:
                    for _ in range(turns):
                        await asyncio.sleep(0)

                await Server(sock, lambda _: _App(), LIMIT).run(stop, 30.0)
                stopped = asyncio.Event()
                task = asyncio.create_task(Server(sock, lambda _: _App(), LIMIT).run(stopped.wait))
                async with asyncio.timeout(30):
                    assert (await reader.read()).startswith(b"HTTP/1.1 200")
                stopped.set()
                await task
                writer.close()
                await writer.wait_closed()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
