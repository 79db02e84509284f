"""agentd.snapshot.witness and agentd.snapshot.fork"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentd.snapshot import witness
from agentd.snapshot.witness import Snapshots


class _Log:
    """Remembers what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, **values: Any) -> None:
        """A line."""
        self.lines.append(event)


def _with_snapshots(
    answer: Callable[[int], object],
    test: Callable[[Snapshots], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> _Log:
    monkeypatch.setattr(witness, "_REST_SECONDS", 0.05)
    monkeypatch.setattr(witness, "_REST_TIMES", 0)
    log = _Log()

    async def main() -> None:
        snapshots = Snapshots(answer, log)
        async with asyncio.timeout(60):
            await test(snapshots)
        snapshots.close()

    asyncio.run(main())
    return log


async def _asked(snapshots: Snapshots) -> bytes:
    """What comes back; empty if nothing does."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        snapshots.ask(theirs.detach())
        return await asyncio.get_running_loop().sock_recv(ours, 1000)


def _say(fd: int, text: bytes) -> None:
    with socket.socket(fileno=fd) as sock:
        sock.sendall(text)


def test_questions_are_answered_in_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all that wait, by one copy, each in a process of its own that changes nothing here."""
    value = [1]

    def answer(fd: int) -> None:
        value[0] += 1
        _say(fd, f"{value[0]} {os.getpid()}".encode())

    async def test(snapshots: Snapshots) -> None:
        answers = await asyncio.gather(*(_asked(snapshots) for _ in range(3)))
        assert {text.split()[0] for text in answers} == {b"2"}
        assert len({text.split()[1] for text in answers}) == 3
        assert value == [1]
        assert snapshots.counts == (1, 0, 0)

    _with_snapshots(answer, test, monkeypatch)


def test_a_copy_has_no_file_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the question's, and the standard three."""

    def answer(fd: int) -> None:
        others = [int(name) for name in os.listdir("/proc/self/fd")]
        _say(fd, str(sum(2 < other != fd for other in others)).encode())

    async def test(snapshots: Snapshots) -> None:
        assert await _asked(snapshots) == b"1"  # that of the listing

    _with_snapshots(answer, test, monkeypatch)


def test_a_copy_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CPU time and memory; and it writes no file."""

    def answer(fd: int) -> None:
        limits = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE)
        found = [resource.getrlimit(number)[0] for number in limits]
        _say(fd, repr([limit != resource.RLIM_INFINITY for limit in found]).encode())

    async def test(snapshots: Snapshots) -> None:
        assert await _asked(snapshots) == b"[True, True, True]"

    _with_snapshots(answer, test, monkeypatch)


@pytest.mark.parametrize("way", ["raises", "crashes", "hangs"])
def test_an_answer_that_fails(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked sees the end; it is counted, logged once, and the next is answered."""
    monkeypatch.setattr(witness, "_ANSWER_SECONDS", 0.2)

    def answer(fd: int) -> None:
        asked = os.read(fd, 1)
        if asked == b"x":
            _say(fd, b"good")
        elif way == "raises":
            raise ZeroDivisionError
        elif way == "crashes":
            os.abort()
        else:
            threading.Event().wait()

    async def ask(snapshots: Snapshots, text: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            ours.send(text)
            snapshots.ask(theirs.detach())
            return await asyncio.get_running_loop().sock_recv(ours, 1000)

    async def test(snapshots: Snapshots) -> None:
        both = await asyncio.gather(ask(snapshots, b"y"), ask(snapshots, b"x"))
        assert list(both) == [b"", b"good"]
        assert await ask(snapshots, b"y") == b""
        assert await ask(snapshots, b"x") == b"good"
        while snapshots.failed_total < 2:
            await asyncio.sleep(0.01)

    log = _with_snapshots(answer, test, monkeypatch)
    assert log.lines == ["questions were not answered"]


def test_a_copy_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is killed, the copies for each question too."""
    monkeypatch.setattr(witness, "DEADLINE_SECONDS", 0.3)

    async def test(snapshots: Snapshots) -> None:
        assert await _asked(snapshots) == b""
        while not snapshots.failed_total:
            await asyncio.sleep(0.01)

    _with_snapshots(lambda fd: time.sleep(60), test, monkeypatch)


def test_a_crowd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many may wait; the rest see their end at once."""
    monkeypatch.setattr(witness, "_WAITING_MAX", 2)

    async def test(snapshots: Snapshots) -> None:
        answers = await asyncio.gather(*(_asked(snapshots) for _ in range(5)))
        assert answers == [b"x"] * 2 + [b""] * 3
        assert snapshots.refused_total == 3

    _with_snapshots(lambda fd: _say(fd, b"x"), test, monkeypatch)


_WITH_A_THREAD = """
import threading
from agentd.runtime.copies import copied
stop = threading.Event()
threading.Thread(target=stop.wait).start()
try:
    copied(lambda: None)
except RuntimeError as error:
    print(error)
stop.set()
"""


def test_no_copy_of_a_process_with_threads() -> None:
    """What another thread holds would be held for ever."""
    command = [sys.executable, "-c", _WITH_A_THREAD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "2 threads when a copy is to be made\n"
