"""Bytes on the doors, in this process: HTTP as h11 reads it, routes, and questions about a tree.

``test_doors.py`` does the same to a running daemon.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from functools import partial
from typing import Any

from agentd.config import schema
from agentd.core.names import Names
from agentd.core.tree.tree import Tree
from agentd.core.wire.events import kind_names
from agentd.filters import parameters
from agentd.filters.facts import FactFinder
from agentd.front.numbers import Numbers
from agentd.front.questions import Questions
from agentd.front.routes import Sources, make_app
from agentd.front.stream import Stream
from agentd.http import asgi, metrics_server
from agentd.http.asgi import Asgi, Receive, Scope, Send
from agentd.http.connection import Conversation, Place
from agentd.http.metrics_server import Door, Health
from agentd.http.web_config import WebConfig
from agentd.sinks.render.text import TextRenderer
from agentd.snapshot.answers import Subject, answer
from tests.records import TICK_NS, WIRE, execed, exited, fork, tree_limits

_ENTITY = "0123456789abcdef"
_HASH = b"$2b$04$abcdefghijklmnopqrstuuJYGGjQFmhnNzBxuZ0T7jBYjA1nNQEsu"
_SECONDS = 30.0
_GOOD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

WORDS = (
    b"GET ", b"HEAD ", b"POST ", b"OPTIONS ", b"PRI * HTTP/2.0", b"/", b"/metrics", b"/healthz",
    b"/readyz", b"/v1/status", b"/v1/processes", b"/v1/explain", b"/v1/follow", b"/v1/work", b"?",
    b"&", b"=", b"filter=", b"filter=uid+%3D+0", b"exited=1", b"id=", b"id=10", b"format=text",
    b"seconds=0.1", b"seconds=nan", b"%", b"%FF", b"%C3%A9", b"%00", b"%0d%0a", b"+", b" HTTP/1.1",
    b" HTTP/1.0", b" HTTP/9.9", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Host: localhost\r\n",
    b"Host: ", b"Host: [::1]:99999\r\n", b"Accept: ", b"Accept-Encoding: gzip\r\n",
    b"Authorization: Basic ", b"YWxpY2U6eA==", b"Origin: null\r\n", b"Sec-Fetch-Site: ",
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Upgrade: h2c\r\n", b"5\r\nhello\r\n",
    b"0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b": ", b":", b" ", b"\t", b"\x00", b"\x80", b"\xff",
    b"\xc3\xa9", b"9" * 30, b"-1", b"a" * 200, b"\x16\x03\x01",
)  # fmt: skip


class _Writer:
    """What a conversation writes to."""

    def __init__(self) -> None:
        self.data = b""
        self.transport: Any = self

    def set_write_buffer_limits(self, high: int) -> None:
        """Nothing waits."""

    def is_closing(self) -> bool:
        """It stays open."""
        return False

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.data += data

    async def drain(self) -> None:
        """All is read at once."""

    def abort(self) -> None:
        """Nobody does."""
        raise AssertionError("a reader that reads at once was cut off")


def _subject() -> Subject:
    """A shell and its child that has exited."""
    tree = Tree(tree_limits(), TICK_NS)
    shell: dict[str, Any] = {"tgid": 10, "start_boottime_ns": 100, "uid": 0}
    child: dict[str, Any] = {"tgid": 11, "start_boottime_ns": 200, "uid": 7}
    child |= {"parent_tgid": 10, "parent_start_boottime_ns": 100}
    tree.apply(fork(boottime_ns=100, **shell))
    tree.apply(execed(b"/bin/sh", b"sh\0-c\0", boottime_ns=150, session=10, **shell))
    tree.apply(fork(boottime_ns=200, **child))
    tree.apply(exited(boottime_ns=400, exit_code=9, **child))
    names = Names(lambda cgroup: None, {0: "root"}.get, {0: "root"}.get)
    return Subject(tree, _ENTITY, lambda: 0, FactFinder(tree, WIRE, names, _ENTITY))


class _Doors:
    """The control socket's application, the port's open one, and its guarded one."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self._loop = asyncio.new_event_loop()
        self._subject = _subject()
        numbers = Numbers(self._give, list)
        self._numbers = numbers
        text = partial(TextRenderer, kind_names(WIRE), colour=False)
        questions = Questions(self._answer)
        stream = Stream(WIRE, _ENTITY, lambda sock: None)
        sources = Sources(
            numbers, questions, stream, dict.fromkeys(parameters.FORMAT.choices, text), 1
        )
        note = self.failures.append
        answers = make_app(sources, note, parameters.AT_THE_PORT)
        self._apps: list[Asgi] = [make_app(sources, note)]
        self._listening = socket.create_server(("127.0.0.1", 0))
        for users in ({}, {"alice": _HASH}):
            door = Door(self._listening, schema.Metrics(page="on"), WebConfig(users=users))
            whole = metrics_server.make_app(_metrics, _good, _good, note, door.page(answers))
            self._apps.append(door.guard(whole))

    def _give(self) -> None:
        events = {"fork": 0, "exec": 0, "exit": 0}
        self._loop.call_soon(self._numbers.take, {"status": {"events": events}})

    def _answer(self, sock: socket.socket) -> None:
        answer(self._subject, os.dup(sock.fileno()))

    def try_all(self, data: bytes) -> None:
        """A connection to each that sends the bytes and no more; then one that is good."""
        for app in self._apps:
            self._loop.run_until_complete(_held(app, data))
            assert not self.failures, self.failures
        assert self._loop.run_until_complete(_held(self._apps[1], _GOOD)).startswith(
            b"HTTP/1.1 200 "
        )


async def _good() -> Health:
    return Health(True, "ok")


async def _metrics(scope: Scope, receive: Receive, send: Send) -> None:
    await asgi.text(send, 200, "")


async def _held(app: Asgi, data: bytes) -> bytes:
    """What is answered. Each answer is HTTP, and none says that something failed."""
    reader, writer = asyncio.StreamReader(), _Writer()
    reader.feed_data(data)
    reader.feed_eof()
    async with asyncio.timeout(_SECONDS):
        held: Any = writer
        await Conversation(app, reader, held, Place("", time.monotonic()), 60.0).hold()
    assert not writer.data or writer.data.startswith(b"HTTP/1.1 "), writer.data[:100]
    assert b"HTTP/1.1 500 " not in writer.data
    return writer.data


_doors: list[_Doors] = []


def try_doors(data: bytes) -> None:
    """Whatever comes is answered, or the connection ends; the next one is served."""
    if not _doors:
        _doors.append(_Doors())
    _doors[0].try_all(data)
