"""The front process: servers at the sockets that the daemon keeps, and what they answer from.

It has no rights, no tree and no file of the daemon's but the one socket to it. It ends when that
ends, and after a minute without a connection.
"""

from __future__ import annotations

import asyncio
import functools
import os
import resource
import socket
from collections.abc import Coroutine
from typing import Any

from agentd.config import schema
from agentd.core.tree.process import entity_prefix
from agentd.core.wire.events import kind_names
from agentd.filters import parameters
from agentd.front import protocol, routes
from agentd.front.failures import Failures
from agentd.front.numbers import Numbers, SilentError
from agentd.front.questions import Questions
from agentd.front.stream import Stream
from agentd.http import asgi, control_auth, metrics_server
from agentd.http.asgi import Asgi, Receive, Scope, Send
from agentd.http.metrics_server import Door, Health
from agentd.http.server import Visitors
from agentd.http.web_config import WebConfig, from_plain
from agentd.kernel.wire_header import read_wire
from agentd.log.setup import configure_log, set_level
from agentd.runtime.copies import limit
from agentd.runtime.packing import unpack
from agentd.sinks.render.ecs_aggregate import ecs_renderer
from agentd.sinks.render.text import TextRenderer

_IDLE_SECONDS = 60.0
_IDLE_LOOKS = 6
"""How often it looks in that time whether anybody has come."""
_FDS_MAX = 256
_BYTES_MAX = 512 << 20
"""Of addresses, most of them of libraries; it has a tenth of that in memory."""
_LAST_SECONDS = 0.5
"""For answers that are being sent when the daemon ends."""
_NICE, _OOM_SCORE_ADJ = 2, 500


def main(channel_fd: int) -> None:
    """Run with that socket to the daemon until one of the two ends."""
    import uvloop  # noqa: PLC0415 (only a process that runs needs it)

    channel = socket.socket(fileno=channel_fd)
    most = {
        resource.RLIMIT_NOFILE: _FDS_MAX,
        resource.RLIMIT_AS: _BYTES_MAX,
        resource.RLIMIT_CORE: 0,
    }
    limit(most, nice=_NICE, oom_score_adj=_OOM_SCORE_ADJ)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Front(channel).run())
    os._exit(os.EX_OK)  # whatever a thread still does: a password that is being checked


class _Front:
    """The parts, and what the daemon says to them."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._door: Door | None = None
        self._visitors = Visitors()
        first, fds = self._first_settings()
        self._log, self._lines = configure_log(*first["log"])
        self._failures = Failures(self._log)
        self._numbers = Numbers(lambda: self._say(protocol.NUMBERS_WANTED), self._failures.metrics)
        wire, entity = read_wire(), entity_prefix(first["boot_id"])
        self._stream = Stream(wire, entity, functools.partial(self._hand_over, protocol.FEED))
        kinds, page_bytes = kind_names(wire), first["page_bytes"]
        json_renderer = functools.partial(
            ecs_renderer(merges=False), wire, first["boot_id"], page_bytes, self._stream.names
        )
        self._sources = functools.partial(
            routes.Sources,
            self._numbers,
            stream=self._stream,
            renderers={
                "json": lambda offset: json_renderer(),
                "text": functools.partial(TextRenderer, kinds, colour=False),
                "colour": functools.partial(TextRenderer, kinds, colour=True),
            },
            page_bytes=page_bytes,
        )
        self._first = first, fds

    async def run(self) -> None:
        """Serve until the daemon has gone, or nobody has come for a while."""
        loop = asyncio.get_running_loop()
        self._take_settings(*self._first)
        loop.add_reader(self._channel, self._receive)
        loop.set_exception_handler(self._on_loop_error)
        own = [loop.create_task(work) for work in (self._wait_until_idle(), self._stay_alive())]
        await self._over.wait()
        for task in (*own, *self._tasks):
            task.cancel()
        await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
        self._lines.finish()

    def _first_settings(self) -> tuple[dict[str, Any], list[int]]:
        message, fds, _, _ = socket.recv_fds(
            self._channel, protocol.MESSAGE_BYTES, protocol.SETTINGS_FDS_MAX
        )
        return unpack(message[1:]), fds

    def _receive(self) -> None:
        """A message of the daemon."""
        try:
            message, fds, _, _ = socket.recv_fds(
                self._channel, protocol.MESSAGE_BYTES, protocol.SETTINGS_FDS_MAX
            )
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        if not message:
            self._over.set()
        elif message.startswith(protocol.NUMBERS):
            with open(fds[0], "rb") as file:
                file.seek(0)
                self._numbers.take(unpack(file.read()))
        else:
            self._take_settings(unpack(message[1:]), fds)

    def _take_settings(self, new: dict[str, Any], fds: list[int]) -> None:
        """Serve at the sockets that have come, and as is wanted now."""
        set_level(new["log"][0])
        metrics = schema.Metrics(**new["metrics"])
        web_config = _held(fds.pop(0)) if new["has_web_config"] else WebConfig()
        socks = dict(zip(new["listening"], (socket.socket(fileno=fd) for fd in fds), strict=True))
        if protocol.CONTROL in socks:
            self._serve_control(socks[protocol.CONTROL])
        if self._door is not None:
            self._door.change(metrics, web_config)
        elif protocol.METRICS in socks:
            self._door = Door(socks[protocol.METRICS], metrics, web_config)
            app = functools.partial(self._http_app, self._door)
            self._begin(metrics_server.run(app, self._door, self._over.wait, self._visitors))

    def _serve_control(self, sock: socket.socket) -> None:
        app = routes.make_app(self._sources(self._questions()), self._failures.note)
        self._begin(control_auth.run(app, sock, self._over.wait, self._visitors))

    def _questions(self) -> Questions:
        return Questions(functools.partial(self._hand_over, protocol.QUESTION))

    def _http_app(self, door: Door) -> Asgi:
        """Metrics, health and the page."""
        answers = routes.make_app(
            self._sources(self._questions()),
            self._failures.note,
            parameters.AT_THE_PORT,
            locked=() if door.asks_who_comes else parameters.ABOUT_PROCESSES,
        )
        return metrics_server.make_app(
            functools.partial(self._metrics, door),
            self._healthz,
            self._readyz,
            self._failures.note,
            door.page(answers),
        )

    async def _metrics(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        accept = headers.get(b"accept", b"").decode("latin-1")
        compressed = b"gzip" in headers.get(b"accept-encoding", b"")
        try:
            exposition = await self._numbers.exposition(names_processes=door.asks_who_comes)
        except SilentError as silent:
            await asgi.text(send, 503, f"{silent}\n")
            return
        content_type, body = exposition.render(accept, compressed=compressed)
        more = [(b"content-encoding", b"gzip")] if compressed else []
        await asgi.respond(send, 200, content_type, body, more)

    async def _healthz(self) -> Health:
        return await self._health("healthy")

    async def _readyz(self) -> Health:
        return await self._health("ready")

    async def _health(self, name: str) -> Health:
        try:
            return Health(*(await self._numbers.latest())[name])
        except SilentError as silent:
            return Health(False, str(silent))

    def _begin(self, serving: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(serving))

    def _say(self, verb: bytes) -> None:
        try:
            self._channel.send(verb)
        except BlockingIOError:
            pass  # the daemon has enough to read, and asks itself why
        except OSError:
            self._over.set()

    def _hand_over(self, verb: bytes, sock: socket.socket) -> None:
        """Give the daemon a socket. If that fails, whoever holds the other end sees it closed."""
        try:
            socket.send_fds(self._channel, [verb], [sock.fileno()])
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self._over.set()

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something failed outside of a request: a connection, or a message of the daemon."""
        failure = context.get("exception")
        if isinstance(failure, Exception):
            self._failures.note(failure)

    async def _stay_alive(self) -> None:
        """Say that the loop turns."""
        while True:
            self._say(protocol.ALIVE)
            await asyncio.sleep(protocol.ALIVE_SECONDS)

    async def _wait_until_idle(self) -> None:
        """Until nobody has been here for a while."""
        quiet, seen = 0, -1
        while quiet < _IDLE_LOOKS:
            await asyncio.sleep(_IDLE_SECONDS / _IDLE_LOOKS)
            nobody = not self._visitors.present and self._visitors.total == seen
            quiet, seen = quiet + 1 if nobody else 0, self._visitors.total
        self._over.set()


def _held(fd: int) -> WebConfig:
    """The web-config that a memfd holds. Other fronts have it, too, so its offset is not ours."""
    try:
        return from_plain(unpack(os.pread(fd, os.fstat(fd).st_size, 0)))
    finally:
        os.close(fd)
