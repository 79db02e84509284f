"""The daemon's way to a coordinator: begun or connected to when somebody asks, and again later."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod

_AGAIN_SECONDS_MIN = 1.0
_AGAIN_SECONDS_MAX = 10.0
"""Not longer: the watchdog bears three canaries that cannot be sent."""
_LEFT_MAX = 4
"""How many coordinators may be left that were killed and do not end."""
_FDS_MAX = 1 << 20
_OF_THE_DAEMON_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")


class Link(ABC):
    """A way that may break. Opened again after 1 s, then 2, up to 10."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._again = 0.0
        self._again_seconds = 0.0

    def send(self, request: bytes, fd: int) -> None:
        """Hand a request over, with the descriptor for its answers. Raises OSError."""
        is_new = self._control is None
        control = self._control or self._reopened()
        try:
            socket.send_fds(control, [request], [fd])
        except BlockingIOError:
            raise  # it has not taken those before
        except OSError:
            self.drop()
            if is_new:
                raise
            socket.send_fds(self._reopened(), [request], [fd])

    def works(self) -> None:
        """There was an answer: when it breaks again, it is opened at once."""
        self._again = self._again_seconds = 0.0

    def drop(self) -> None:
        """It is of no use any more."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def _reopened(self) -> socket.socket:
        now = time.monotonic()
        if now < self._again:
            raise OSError("it has ended, and is begun again later")
        self._again_seconds = min(
            max(_AGAIN_SECONDS_MIN, 2 * self._again_seconds), _AGAIN_SECONDS_MAX
        )
        self._again = now + self._again_seconds
        self._control = self._open()
        self._control.setblocking(False)
        return self._control

    @abstractmethod
    def _open(self) -> socket.socket:
        """A new one. Raises OSError."""


class ServiceLink(Link):
    """A socket for each of whose connections a service manager starts ``agentd scan``."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def _open(self) -> socket.socket:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            control.setblocking(False)
            control.connect(self.path)
        except OSError:
            control.close()
            raise
        return control


class ChildLink(Link):
    """A child of ours. ``keeps``: the capabilities that a scan has, if we have them ourselves."""

    def __init__(self, keeps: tuple[int, ...]) -> None:
        super().__init__()
        self._keeps = keeps
        self._pids: list[int] = []

    @property
    def pid(self) -> int:
        """The parent of all workers; 0 while there is none."""
        return self._pids[-1] if self._control is not None else 0

    def begin(self) -> None:
        """Begin it now: what we may do now we may not do later. Raises OSError."""
        self._reopened()

    def drop(self) -> None:
        """End it; it is not waited for."""
        if self._control is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pids[-1], signal.SIGKILL)
        super().drop()

    def _open(self) -> socket.socket:
        self._pids = [pid for pid in self._pids if not _has_ended(pid)]
        if len(self._pids) >= _LEFT_MAX:
            raise OSError(f"{len(self._pids)} of them are stuck")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._pids.append(self._forked(theirs.fileno()))
            except OSError:
                ours.close()
                raise
        return ours

    def _forked(self, fd: int) -> int:
        """Fork, and exec in the child: nobody waits until that is through.

        Until it is, the child handles no signal: it has our handlers.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    self._exec(fd)
                finally:
                    os._exit(os.EX_UNAVAILABLE)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return pid

    def _exec(self, fd: int) -> None:
        signal.set_wakeup_fd(-1)
        for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(caught, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()  # what a terminal sends is for the daemon
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.set_inheritable(fd, True)
        os.closerange(3, fd)
        os.closerange(fd + 1, _FDS_MAX)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_OF_THE_DAEMON_ALONE)
        }
        # -P: not a line from the folder where somebody happens to start us, as root
        words = [sys.executable, "-P", "-m", "agentd.helpers", str(fd), *map(str, self._keeps)]
        os.execve(sys.executable, words, environment)


def _has_ended(pid: int) -> bool:
    """Whether a child of ours has, which is not waited for."""
    try:
        return bool(os.waitpid(pid, os.WNOHANG)[0])
    except ChildProcessError:
        return True
