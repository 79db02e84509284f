"""Standard output, written without ever waiting for its reader.

A writer begins on a line of its own. Whoever wrote there before may have left half a line: its disk
was full, or it was killed in the middle of a write. A file shows that. A pipe or a socket does not,
so a successor ends whatever its predecessor may have begun.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import stat

from agentd.sinks.writer import SinkClosedError, SinkFailedError


class Stdout:
    """The file behind ``fd``. It takes payloads in parts.

    ``succeeds``: a process that may have been killed wrote there before this one.
    """

    def __init__(self, fd: int = 1, *, succeeds: bool = False) -> None:
        self._owes_newline = _is_mid_line(fd, succeeds=succeeds)
        self._fd, self._socket = _own_description(fd)
        self._may_block = self._socket is None and _may_block(self._fd)

    def fileno(self) -> int:
        """The fd to wait for."""
        return self._fd

    def send(self, payload: memoryview) -> int:
        """Write what can be written now. Raises as ``Channel.send`` says."""
        if self._owes_newline:
            self._write(memoryview(b"\n"))
            self._owes_newline = False
        return self._write(payload)

    def _write(self, payload: memoryview) -> int:
        try:
            if self._socket is not None:
                return self._socket.send(payload, socket.MSG_DONTWAIT)
            return os.write(self._fd, self._no_more_than_fits(payload))
        except BlockingIOError:
            raise
        except BrokenPipeError:
            raise SinkClosedError("the reader of standard output has gone away") from None
        except OSError as error:
            raise SinkFailedError(f"cannot write events: {error.strerror}") from None

    def _no_more_than_fits(self, payload: memoryview) -> memoryview:
        """What can be written without waiting. Raises BlockingIOError if that is nothing."""
        if not self._may_block:
            return payload
        asking = select.poll()
        asking.register(self._fd, select.POLLOUT)
        if not asking.poll(0):
            raise BlockingIOError
        return payload[: select.PIPE_BUF]

    def close(self) -> None:
        """Let go of the file."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)


def _is_mid_line(fd: int, *, succeeds: bool) -> bool:
    """Whether what is written next may stand behind half a line.

    A file that may not be read counts as such: an empty line does no harm.
    """
    status = os.fstat(fd)
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        return succeeds
    if not stat.S_ISREG(status.st_mode):
        return False
    appends = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
    end = status.st_size if appends else os.lseek(fd, 0, os.SEEK_CUR)
    if not end:
        return False
    try:
        reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return os.pread(reading, 1, end - 1) != b"\n"
    except OSError:
        return True
    finally:
        os.close(reading)


def _own_description(fd: int) -> tuple[int, socket.socket | None]:
    """A way to write to ``fd`` without blocking, and without making it so for those who share it.

    O_NONBLOCK belongs to the open file, which a terminal's programs have in common: a pipe or a
    terminal is opened again, and a socket is told with each call. What may not be opened again, as
    another user's, is asked before each write.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):
        own = socket.socket(fileno=os.dup(fd))
        return own.fileno(), own
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags), None
    return os.dup(fd), None


def _may_block(fd: int) -> bool:
    """Whether a write may wait for a reader."""
    mode = os.fstat(fd).st_mode
    return (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)) and os.get_blocking(fd)
