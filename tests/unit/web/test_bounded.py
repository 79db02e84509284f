"""agentd.web.bounded"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from agentd.web.bounded import bounded
from tests.certificate import make_certificate

LIMIT = 3
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]


class _Echo:
    """Counts who is connected, and gives back each line."""

    def __init__(self) -> None:
        self.connected = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connected += 1
        async for line in reader:
            writer.write(line)
            await writer.drain()
        self.connected -= 1
        writer.close()


def _serving(
    loop: Loop, test: Callable[[_Echo, int], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> None:
    async def main() -> None:
        echo = _Echo()
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        options: dict[str, Any] = {"backlog": 100}
        options |= {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": 0.3}
        with bounded(asyncio.get_running_loop(), LIMIT):
            server = await asyncio.start_server(echo.serve, sock=sock, **options)
            async with asyncio.timeout(30):
                await test(echo, sock.getsockname()[1])
            server.close()
            await server.wait_closed()
        assert sock.fileno() == -1

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@LOOPS
def test_the_rest_wait_until_somebody_leaves(loop: Loop) -> None:
    """Never more than the limit are connected; who waits has its turn."""

    async def test(echo: _Echo, port: int) -> None:
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(LIMIT + 1)]
        await _until(lambda: echo.connected == LIMIT)
        last_reader, last_writer = pairs[-1]
        last_writer.write(b"hello\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await last_reader.readline()
        pairs[0][1].close()
        assert await last_reader.readline() == b"hello\n"
        for _, writer in pairs:
            writer.close()
        await _until(lambda: echo.connected == 0)

    _serving(loop, test)


@LOOPS
def test_who_breaks_off_makes_room(loop: Loop) -> None:
    """A reset is an end like any other."""

    async def test(echo: _Echo, port: int) -> None:
        for _ in range(3 * LIMIT):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                linger = (1).to_bytes(4, "little") + bytes(4)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()

    _serving(loop, test)


@LOOPS
def test_who_speaks_no_tls_makes_room(loop: Loop, tmp_path: Path) -> None:
    """Silence is borne as long as a handshake may take, nonsense not so long."""
    make_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")

    async def test(echo: _Echo, port: int) -> None:
        bad = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * LIMIT)]
        bad[0][1].write(b"GET / HTTP/1.1\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        for _, each in [*bad, (reader, writer)]:
            each.close()

    _serving(loop, test, tls)


@LOOPS
def test_without_file_descriptors_it_goes_on_later(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be accepted waits until it can."""
    monkeypatch.setattr("agentd.web.bounded._AGAIN_SECONDS", 0.01)

    async def test(echo: _Echo, port: int) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.create_connection(("127.0.0.1", port)) as sock:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            await asyncio.sleep(0.1)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await _until(lambda: echo.connected == 1)
            sock.close()
            await _until(lambda: echo.connected == 0)

    _serving(loop, test)
