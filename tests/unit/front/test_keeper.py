"""agentd.front.keeper: with fronts that a test plays, in copies of itself"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from agentd.front import keeper, protocol
from agentd.front.keeper import FrontKeeper, Sources
from agentd.front.listeners import CheckedWebConfig, Doors
from agentd.runtime.copies import keep_fds
from agentd.runtime.packing import unpack

Play = Callable[[socket.socket, dict[str, Any], list[int]], None]
"""A front: the socket to its daemon, its first settings, and the sockets to listen at."""
Condition = Callable[[], bool]

_FDS_MAX = protocol.SETTINGS_FDS_MAX


class _Log:
    """Keeps errors."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def error(self, event: str, *, problem: str, again_after_seconds: float) -> None:
        self.problems.append(problem)


class _Host:
    """A keeper with one door, and what its fronts asked for."""

    def __init__(self) -> None:
        self.log = _Log()
        self.numbers_asked = 0
        self.handed: list[tuple[str, bytes]] = []
        """Sorts of sockets that were handed over, and what could be read there."""
        sources = Sources(self._numbers, self._taker("question"), self._taker("feed"))
        self.keeper = FrontKeeper(sources, {"a": 1}, self.log)
        self.doors: list[socket.socket] = []
        self.open_door()

    def open_door(self) -> None:
        """Another one, which ``answer`` connects to from now on."""
        self.doors.append(socket.create_server(("127.0.0.1", 0)))

    def _numbers(self) -> dict[str, Any]:
        self.numbers_asked += 1
        return {"number": self.numbers_asked}

    def _taker(self, sort: str) -> Callable[[int], None]:
        def take(fd: int) -> None:
            with socket.socket(fileno=fd) as sock:
                self.handed.append((sort, sock.recv(100)))

        return take

    async def answer(self) -> bytes:
        """What a front writes to whoever connects."""
        loop = asyncio.get_running_loop()
        with socket.socket() as asking:
            asking.setblocking(False)
            await loop.sock_connect(asking, self.doors[-1].getsockname())
            return await loop.sock_recv(asking, 1000)


def _run(monkeypatch: pytest.MonkeyPatch, play: Play, test: Callable[[_Host], Any]) -> None:
    def be_front(fd: int) -> None:
        keep_fds([fd])
        channel = socket.socket(fileno=os.dup(fd))
        message, fds, _, _ = socket.recv_fds(
            channel, protocol.MESSAGE_BYTES, protocol.SETTINGS_FDS_MAX
        )
        assert message[:1] == protocol.SETTINGS
        play(channel, unpack(message[1:]), fds)

    async def main() -> None:
        host = _Host()
        doors = Doors(metrics=host.doors[0], control=None, web_config=CheckedWebConfig())
        await host.keeper.open(doors, "")
        try:
            async with asyncio.timeout(60):
                await test(host)
        finally:
            await host.keeper.close()
            for door in host.doors:
                door.close()

    monkeypatch.setattr(keeper, "_become_front", be_front)
    asyncio.run(main())


async def _until(condition: Condition) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def _serve_one(channel: socket.socket, settings: dict[str, Any], fds: list[int]) -> None:
    accepted, _ = socket.socket(fileno=os.dup(fds[0])).accept()
    accepted.send(repr(settings).encode())


def _stay(channel: socket.socket) -> None:
    """Until the daemon closes the socket."""
    while channel.recv(protocol.MESSAGE_BYTES):
        pass


def test_a_front_begins_with_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets settings and the doors; when it has ended well, the next connection begins one."""

    async def test(host: _Host) -> None:
        await asyncio.sleep(0.05)
        assert host.keeper.counts == (0, 0)
        for number in (1, 2):
            assert (
                await host.answer()
                == b"{'a': 1, 'listening': ('metrics',), 'has_web_config': False}"
            )
            await _until(lambda: host.keeper._running is None)
            assert host.keeper.counts == (number, 0)

    _run(monkeypatch, _serve_one, test)


def test_a_front_that_fails_is_begun_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while that doubles; each is counted and logged."""
    monkeypatch.setattr(keeper, "_AGAIN_MIN_SECONDS", 0.05)

    def fail(channel: socket.socket, settings: dict[str, Any], fds: list[int]) -> None:
        os._exit(3)

    async def test(host: _Host) -> None:
        begun = time.monotonic()
        asking = asyncio.create_task(host.answer())
        await _until(lambda: host.keeper.failures_total >= 3)
        assert time.monotonic() - begun >= 0.05 + 0.1
        assert host.log.problems[:3] == ["exit code 3"] * 3
        asking.cancel()

    _run(monkeypatch, fail, test)


def test_a_front_that_stands_still_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects would wait for it without end."""
    monkeypatch.setattr(protocol, "SILENT_SECONDS", 0.2)

    def stand_still(channel: socket.socket, settings: dict[str, Any], fds: list[int]) -> None:
        time.sleep(1000)

    async def test(host: _Host) -> None:
        asking = asyncio.create_task(host.answer())
        await _until(lambda: host.keeper.failures_total > 0)
        assert host.log.problems[0] == "signal 9"
        asking.cancel()

    _run(monkeypatch, stand_still, test)


def test_numbers_are_sent_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a front asks, the daemon makes them once for all."""
    monkeypatch.setattr(keeper, "_NUMBERS_SECONDS", 1000.0)

    def ask(channel: socket.socket, settings: dict[str, Any], fds: list[int]) -> None:
        for _ in range(100):
            channel.send(protocol.NUMBERS_WANTED)
        message, memory, _, _ = socket.recv_fds(
            channel, protocol.MESSAGE_BYTES, protocol.SETTINGS_FDS_MAX
        )
        assert message == protocol.NUMBERS
        accepted, _ = socket.socket(fileno=os.dup(fds[0])).accept()
        accepted.send(repr(unpack(os.pread(memory[0], 1000, 0))).encode())
        _stay(channel)

    async def test(host: _Host) -> None:
        assert await host.answer() == b"{'number': 1}"
        await asyncio.sleep(0.05)
        assert host.numbers_asked == 1

    _run(monkeypatch, ask, test)


def test_of_a_front_verbs_and_sockets_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket goes where its verb says; one with another verb is closed, one that lacks ignored.
    Of a long message nothing but its first byte is read.
    """

    def hand_over(channel: socket.socket, settings: dict[str, Any], fds: list[int]) -> None:
        for verb in (b"q", b"f", b"x", b"", b"n\xff", b"q" * 60_000):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.send(b"with " + verb[:1])
            if verb:
                socket.send_fds(channel, [verb], [theirs.fileno()])
            theirs.close()
        for verb in (b"q", b"f", b"x", bytes(1000)):
            channel.send(verb)
        _serve_one(channel, settings, fds)
        _stay(channel)

    async def test(host: _Host) -> None:
        fds_before = len(os.listdir("/proc/self/fd"))
        assert await host.answer()
        expected = [("question", b"with q"), ("feed", b"with f"), ("question", b"with q")]
        await _until(lambda: host.handed == expected)
        await asyncio.sleep(0.05)
        # one more for the front's pidfd and one for the socket to it
        assert len(os.listdir("/proc/self/fd")) <= fds_before + 2
        assert host.keeper.failures_total == 0

    _run(monkeypatch, hand_over, test)


@pytest.mark.parametrize("hears", [True, False])
def test_it_ends_with_the_daemon(monkeypatch: pytest.MonkeyPatch, hears: bool) -> None:
    """Whether it hears of the end or not; nobody is told of a failure."""
    monkeypatch.setattr(keeper, "_END_SECONDS", 0.1)

    def serve(channel: socket.socket, settings: dict[str, Any], fds: list[int]) -> None:
        _serve_one(channel, settings, fds)
        _stay(channel)
        if not hears:
            time.sleep(1000)

    async def test(host: _Host) -> None:
        assert await host.answer()
        running = host.keeper._running
        assert running is not None
        await host.keeper.close()
        assert host.keeper._running is None
        assert not os.path.exists(f"/proc/{running.pid}")
        assert host.keeper.failures_total == 0

    _run(monkeypatch, serve, test)


def test_settings_that_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front hears of them, gets the web-config, and hears of a door that opens later."""

    def serve(channel: socket.socket, settings: dict[str, Any], fds: list[int]) -> None:
        _serve_one(channel, settings, fds)
        for _ in range(2):
            message, more, _, _ = socket.recv_fds(
                channel, protocol.MESSAGE_BYTES, protocol.SETTINGS_FDS_MAX
            )
            said = unpack(message[1:])
            held = os.pread(more.pop(0), 10, 0)
            door = more[-1] if more else fds[0]
            accepted, _ = socket.socket(fileno=os.dup(door)).accept()
            accepted.send(repr((said["b"], said["listening"], held)).encode())
            accepted.close()
        _stay(channel)

    async def test(host: _Host) -> None:
        assert await host.answer()
        web_config = os.memfd_create("web-config")
        os.write(web_config, b"held")
        host.keeper.change({"b": 2}, web_config)
        assert await host.answer() == b"(2, (), b'held')"
        host.open_door()
        host.keeper.add(protocol.CONTROL, host.doors[-1])
        assert await host.answer() == b"(2, ('control',), b'held')"
        os.close(web_config)

    _run(monkeypatch, serve, test)
