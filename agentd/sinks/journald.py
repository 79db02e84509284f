"""journald's socket, written without ever waiting for journald."""

from __future__ import annotations

import errno
import fcntl
import os
import socket

from agentd.sinks.writer import SinkFailedError

JOURNAL_SOCKET = "/run/systemd/journal/socket"

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_SEND_BUFFER_BYTES = 8 << 20
"""As systemd's own client asks for; the kernel gives what net.core.wmem_max allows."""


class JournalChannel:
    """Datagrams, each taken whole. What is too large for one goes as a sealed memfd."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._connected = False

    def fileno(self) -> int:
        """Writable when journald has room again."""
        return self._socket.fileno()

    def send(self, payload: memoryview) -> int:
        """Send an entry. Raises as ``Channel.send`` says."""
        try:
            if not self._connected:
                self._socket.connect(self._path)
                self._connected = True
            try:
                self._socket.send(payload)
            except OSError as error:
                if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                    raise
                self._send_as_file(payload)
        except BlockingIOError:
            raise
        except (FileNotFoundError, ConnectionError) as error:
            self._connected = False
            raise SinkFailedError(f"no journald at {self._path}: {error.strerror}") from None
        except OSError as error:
            raise SinkFailedError(f"cannot write to {self._path}: {error.strerror}") from None
        return len(payload)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _send_as_file(self, payload: memoryview) -> None:
        fd = os.memfd_create("agentd-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, payload)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            socket.send_fds(self._socket, [b""], [fd])
        finally:
            os.close(fd)
