"""agentd.sinks.stdout"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from pathlib import Path

import pytest

from agentd.core.batch import Batch
from agentd.core.event import Lost
from agentd.sinks.stdout import SinkClosedError, SinkFailedError, Stdout

LOSS = Lost(1, 1, 0, 1, "reserve", None, 0)
LINE_BYTES = 4000


class Lines:
    """A renderer of long lines."""

    def render(self, batch: Batch) -> bytes:
        """One line an entry."""
        return (b"x" * (LINE_BYTES - 1) + b"\n") * len(batch.entries)


def _pipe() -> tuple[int, int]:
    """A pipe whose reading end never blocks."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, writing


def _read(fd: int) -> bytes:
    """What is there now."""
    with contextlib.suppress(BlockingIOError):
        return os.read(fd, 1 << 20)
    return b""


def _batch(lines: int) -> Batch:
    return Batch([LOSS] * lines, 0, 0)


def test_a_file_gets_heading_and_lines(tmp_path: Path) -> None:
    """Heading and entries land in a regular file, in order."""
    file = tmp_path / "out"
    with file.open("wb") as out:
        sink = Stdout(Lines(), out.fileno(), "HEAD\n")
        asyncio.run(sink.write(_batch(2)))
        sink.close()
    assert file.read_bytes().startswith(b"HEAD\nxxx")
    assert (file.stat().st_size, sink.written) == (5 + 2 * LINE_BYTES, 2)


def test_a_slow_reader_holds_up_the_writer_not_the_loop() -> None:
    """While a pipe is full the write waits, other work goes on, and then all arrives."""
    reading, writing = _pipe()
    sink = Stdout(Lines(), writing)
    got = bytearray()

    async def main() -> None:
        task = asyncio.create_task(sink.write(_batch(100)))
        await asyncio.sleep(0.01)
        assert not task.done()
        async with asyncio.timeout(30):
            while len(got) < 100 * LINE_BYTES:
                got.extend(_read(reading))
                await asyncio.sleep(0)
            await task

    asyncio.run(main())
    assert sink.written == 100
    sink.close()
    for fd in (reading, writing):
        os.close(fd)


def test_a_cancelled_write_keeps_what_is_left() -> None:
    """What a cancelled write did not get rid of goes out with the next flush."""
    reading, writing = _pipe()
    sink = Stdout(Lines(), writing)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await sink.write(_batch(100))
        got = len(_read(reading))
        assert sink.written == got // LINE_BYTES < 100
        task = asyncio.create_task(sink.flush())
        async with asyncio.timeout(30):
            while got < 100 * LINE_BYTES:
                await asyncio.sleep(0)
                got += len(_read(reading))
            await task

    asyncio.run(main())
    assert sink.written == 100
    sink.close()
    for fd in (reading, writing):
        os.close(fd)


def test_others_who_share_the_file_still_block() -> None:
    """O_NONBLOCK is not left behind on the caller's open file."""
    reading, writing = os.pipe()
    sink = Stdout(Lines(), writing)
    asyncio.run(sink.write(_batch(1)))
    assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_NONBLOCK
    sink.close()
    for fd in (reading, writing):
        os.close(fd)


def test_a_reader_that_left_is_told() -> None:
    """A broken pipe is a SinkClosedError, and counts as not written."""
    reading, writing = os.pipe()
    sink = Stdout(Lines(), writing)
    os.close(reading)
    with pytest.raises(SinkClosedError):
        asyncio.run(sink.write(_batch(3)))
    assert sink.written == 0
    sink.close()
    os.close(writing)


def test_a_full_disk_is_told() -> None:
    """Any other failure is a SinkFailedError with the reason."""
    with Path("/dev/full").open("wb") as full:
        sink = Stdout(Lines(), full.fileno())
        with pytest.raises(SinkFailedError, match="No space left"):
            asyncio.run(sink.write(_batch(1)))
        sink.close()


def test_a_socket_is_written_without_blocking() -> None:
    """A socket (journald's, say) takes lines as a pipe does."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Stdout(Lines(), theirs.fileno())
        asyncio.run(sink.write(_batch(2)))
        assert len(ours.recv(1 << 16)) == 2 * LINE_BYTES
        assert theirs.getblocking()
        sink.close()
