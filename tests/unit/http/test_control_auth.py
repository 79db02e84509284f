"""agentd.http.control_auth"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agentd.front.control_socket import listening
from agentd.http import asgi, control_auth
from agentd.http.control_auth import may_ask
from tests.requirements import need_root

_ASK = """
import os, socket, sys
os.setgroups([int(g) for g in sys.argv[3].split(",") if g])
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    sock.sendall(b"GET /v1/x?a=b HTTP/1.0\\r\\n\\r\\n")
    sys.stdout.write(sock.makefile().read())
"""


async def _echo(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await asgi.text(send, 200, f"{scope['method']} {scope['path']} {scope['query_string']!r}\n")


async def _slow(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
    await asgi.gone(receive)
    gone.append(scope["path"])


gone: list[str] = []


def _serving(path: Path, app: asgi.Asgi, work: Callable[[str], Awaitable[None]]) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        with listening(str(path), None) as sock:
            task = asyncio.create_task(control_auth.run(app, sock, stop.wait))
            await work(str(path))
            stop.set()
            async with asyncio.timeout(30):
                await task

    asyncio.run(main())


def _answers(path: Path, app: asgi.Asgi, request: bytes) -> bytes:
    """Everything that comes back."""
    answer = b""

    async def ask(path: str) -> None:
        nonlocal answer
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(request)
        writer.write_eof()
        answer = await reader.read()
        writer.close()

    _serving(path, app, ask)
    return answer


def test_a_question_is_answered(tmp_path: Path) -> None:
    """Method, path and query reach the application."""
    answer = _answers(tmp_path / "s", _echo, b"GET /v1/x?id=7 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"GET /v1/x b'id=7'" in answer


def test_a_stream_goes_on_until_the_peer_leaves(tmp_path: Path) -> None:
    """Parts are sent as they come; the application hears of it when nobody listens any more."""

    async def listen(path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"first\n")
        writer.close()
        async with asyncio.timeout(30):
            while not gone:
                await asyncio.sleep(0.001)

    gone.clear()
    _serving(tmp_path / "s", _slow, listen)
    assert gone == ["/v1/x"]


def test_an_open_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """When it is time to stop, who still listens is cut off."""
    ended = b""

    async def listen(path: str) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"first\n")

        async def until_cut() -> None:
            nonlocal ended
            ended = await reader.read()
            writer.close()

        tasks.append(asyncio.create_task(until_cut()))

    tasks: list[asyncio.Task[None]] = []
    _serving(tmp_path / "s", _slow, listen)
    assert b"0\r\n" not in ended  # a chunked body that was cut off has no end


def test_a_crowd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes when many ask already is told so, and may come later."""
    monkeypatch.setattr(control_auth, "_ANSWERED_MAX", 2)
    answers: list[bytes] = []

    async def ask(path: str) -> None:
        silent = [await asyncio.open_unix_connection(path) for _ in range(2)]
        while not answers or b" 200 " not in answers[-1]:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answers.append(await reader.read())
            for _, each in [*silent, (reader, writer)]:
                each.close()

    _serving(tmp_path / "s", _echo, ask)
    assert b" 503 " in answers[0]
    assert b"there are 2 others asking already" in answers[0]


@pytest.mark.parametrize(
    ("uid", "groups", "may"),
    [(0, {0}, True), (7, {1}, True), (8, {1, 40}, True), (8, {1}, False)],
    ids=["root", "agentd", "group", "somebody"],
)
def test_who_may_ask(uid: int, groups: set[int], may: bool) -> None:
    """Root, the daemon's own user, and the socket's group."""
    assert may_ask((uid, groups), group=40, own_uid=7) == may


def test_the_kernel_says_who_asks() -> None:
    """A member of the group gets an answer; another, whom the file's mode let in, does not."""
    need_root()
    answers: dict[str, str] = {}

    async def main(path: str) -> None:
        stop = asyncio.Event()
        with listening(path, None) as sock:
            os.chown(path, 0, 4321)
            os.chmod(path, 0o666)
            task = asyncio.create_task(control_auth.run(_echo, sock, stop.wait))
            for group in ("4321", "55"):
                process = await asyncio.create_subprocess_exec(
                    "/usr/bin/python3", "-c", _ASK, path, "65534", group, stdout=subprocess.PIPE
                )
                answers[group] = (await process.communicate())[0].decode()
            stop.set()
            await task

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        asyncio.run(main(f"{folder}/agentd.sock"))
    assert " 200 " in answers["4321"]
    assert " 403 " in answers["55"]
    assert "socket's group may ask" in answers["55"]
