"""agentd.log.queue"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest

from agentd.log.queue import LogQueue
from agentd.sinks.journald import JournalChannel
from agentd.sinks.stdout import Stdout
from agentd.sinks.writer import SinkFailedError
from tests import fake_time
from tests.channel import FakeChannel


def _lines(first: int, end: int) -> str:
    return "".join(f"{number}\n" for number in range(first, end))


def _write(queue: LogQueue, first: int, end: int) -> None:
    for number in range(first, end):
        queue.write(b"%d\n" % number)


def test_a_line_leaves_at_once() -> None:
    """Where it is taken, without an event loop too."""
    channel = FakeChannel()
    queue = LogQueue(channel)
    _write(queue, 0, 3)
    assert channel.text == _lines(0, 3)
    channel.close()


@pytest.mark.parametrize("error", [None, SinkFailedError("no journald")])
def test_lines_wait_and_leave_in_order(error: SinkFailedError | None) -> None:
    """What nobody takes is tried again; what is more than may wait is dropped and counted."""

    async def main() -> None:
        channel = FakeChannel(room=3)
        queue = LogQueue(channel, capacity=4)
        _write(queue, 10, 12)
        assert channel.text == "10\n"
        channel.error = error
        _write(queue, 12, 17)
        assert queue.dropped_total == 2
        await asyncio.sleep(1)
        assert channel.text == "10\n"
        channel.error, channel.room = None, 5
        await asyncio.sleep(1)
        assert channel.text == "10\n11\n12"
        channel.room = 1000
        await asyncio.sleep(1)
        assert channel.text == _lines(10, 15)
        channel.close()

    fake_time.run(main())


def test_the_end_waits_a_moment() -> None:
    """Long enough for a reader that is only slow, not for one that is stuck."""
    reading, writing = os.pipe()
    channel = Stdout(writing)
    queue = LogQueue(channel)
    line = b"x" * 100_000
    queue.write(line)
    queue.finish()
    assert 0 < len(os.read(reading, 1 << 20)) < len(line)
    queue.finish()
    assert len(os.read(reading, 1 << 20)) > 0
    channel.close()
    for fd in (reading, writing):
        os.close(fd)


def test_a_journald_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    """libsystemd's own sender would wait here for ever."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(path)
        channel = JournalChannel(path)
        queue = LogQueue(channel, capacity=10)
        while not queue.dropped_total:
            queue.write(b"MESSAGE=hello\n")
        before = _received(journald)
        queue.finish()
        assert _received(journald) == 10
        assert before > 0
        channel.close()


def _received(sock: socket.socket) -> int:
    """How many datagrams there are."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while sock.recv(100, socket.MSG_DONTWAIT):
            count += 1
    return count
