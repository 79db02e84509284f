"""The daemon's side of the front: starts it when somebody connects, and gives it what it asks for.

The sockets to listen at are the daemon's. While no front runs it watches them, and whoever
connects waits in their queues. A front that fails is started again after a second, then after two,
and so on up to a minute; nothing else depends on it.

Of a front the daemon reads one byte and perhaps a file descriptor at a time (``front.protocol``).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from agentd.config.schema import Config
from agentd.front import protocol
from agentd.front.listeners import Doors
from agentd.front.ports import open_later
from agentd.host import system
from agentd.runtime.copies import copied, keep_fds
from agentd.runtime.packing import pack

_NUMBERS_SECONDS = 1.0
"""Numbers are sent no more often."""
_AGAIN_MIN_SECONDS, _AGAIN_MAX_SECONDS = 1.0, 60.0
_WELL_SECONDS = 60.0
"""A front that ran that long was no failure of the start: the wait begins at its least again."""
_END_SECONDS = 1.0
"""How long a front may take to end."""
_LOOK_SECONDS = 0.01
_MESSAGES_AT_ONCE = 16
_NOT_FOR_A_FRONT = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")
"""The service manager speaks with the daemon alone."""


def front_settings(config: Config) -> dict[str, Any]:
    """What a front is to know."""
    return {
        "metrics": asdict(config.metrics),
        "log": (config.log.level, config.log.format),
        "boot_id": system.boot_id(),
        "page_bytes": system.PAGE_BYTES,
    }


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the front's wants lead."""

    numbers: Callable[[], dict[str, Any]]
    ask: Callable[[int], None]
    """A question about the tree can be read at a file descriptor, whose owner it becomes."""
    feed: Callable[[int], None]
    """Likewise: events are wanted there."""


@dataclass(slots=True)
class _Running:
    """A front. ``pidfd`` is readable once it has ended."""

    pid: int
    pidfd: int
    channel: socket.socket
    begun_at: float
    heard_at: float
    """When it last said anything."""
    silence: asyncio.TimerHandle | None = None
    """Looks whether it is silent."""


class FrontKeeper:
    """Has a front run while it is needed. ``settings``: what a front is to know."""

    def __init__(self, sources: Sources, settings: Mapping[str, Any], log: Any) -> None:
        self.starts_total = 0
        self.failures_total = 0
        """Fronts that could not start, or ended otherwise than they should."""
        self._sources = sources
        self._settings = dict(settings)
        self._web_config: int | None = None
        self._log = log
        self._doors: dict[str, socket.socket] = {}
        self._running: _Running | None = None
        self._again_seconds = _AGAIN_MIN_SECONDS
        self._again: asyncio.TimerHandle | None = None
        self._numbers_at = 0.0
        self._numbers_due: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def counts(self) -> tuple[int, int]:
        """Starts and failures, for metrics."""
        return self.starts_total, self.failures_total

    async def open(self, doors: Doors, listen: str) -> None:
        """Let strangers in, as soon as there is something to let them in by."""
        self._web_config = doors.web_config.fd
        if doors.control is not None:
            self.add(protocol.CONTROL, doors.control)
        if doors.metrics is not None:
            self.add(protocol.METRICS, doors.metrics)
        elif listen:
            await open_later(listen, partial(self.add, protocol.METRICS))

    def add(self, role: str, door: socket.socket) -> None:
        """Serve at a listening socket, too."""
        self._doors[role] = door
        if self._running is not None:
            self._send_settings(self._running.channel, {role: door})
        elif self._again is None:
            self._watch(door)

    def change(self, settings: Mapping[str, Any], web_config: int | None) -> None:
        """Something that a front is to know has changed. ``web_config``: a memfd that holds it."""
        self._settings = dict(settings)
        self._web_config = web_config
        if self._running is not None:
            self._send_settings(self._running.channel, {})

    async def close(self) -> None:
        """End the front. Who is connected is cut off after a moment."""
        self._is_closed = True
        self._watch_none()
        for timer in (self._again, self._numbers_due):
            if timer is not None:
                timer.cancel()
        running = self._running
        if running is None:
            return
        asyncio.get_running_loop().remove_reader(running.channel)
        running.channel.close()  # which it hears of
        deadline = time.monotonic() + _END_SECONDS
        while self._running is not None and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
        if self._running is not None:
            os.kill(running.pid, signal.SIGKILL)
            self._ended()

    def _watch(self, door: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(door, self._start)

    def _watch_none(self) -> None:
        for door in self._doors.values():
            asyncio.get_running_loop().remove_reader(door)

    def _start(self) -> None:
        """Somebody connects."""
        self._watch_none()
        self.starts_total += 1
        try:
            self._running = running = self._begun()
        except (OSError, RuntimeError) as error:
            self._failed(str(error))
            return
        asyncio.get_running_loop().add_reader(running.pidfd, self._ended)
        asyncio.get_running_loop().add_reader(running.channel, self._receive)
        self._look_whether_silent(running)

    def _look_whether_silent(self, running: _Running) -> None:
        """End a front whose loop stands still: who connects would wait without end."""
        silent_seconds = time.monotonic() - running.heard_at
        if silent_seconds >= protocol.SILENT_SECONDS:
            os.kill(running.pid, signal.SIGKILL)
            return
        running.silence = asyncio.get_running_loop().call_later(
            protocol.SILENT_SECONDS - silent_seconds, self._look_whether_silent, running
        )

    def _begun(self) -> _Running:
        """A new front. Raises OSError and RuntimeError if there can be none."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with contextlib.ExitStack() as undo, theirs:
            undo.callback(ours.close)
            self._send_settings(ours, self._doors)
            pid = copied(lambda: _become_front(theirs.fileno()))
            undo.callback(os.waitpid, pid, 0)
            undo.callback(os.kill, pid, signal.SIGKILL)
            pidfd = os.pidfd_open(pid)
            undo.pop_all()
        now = time.monotonic()
        return _Running(pid, pidfd, ours, now, now)

    def _send_settings(self, channel: socket.socket, doors: Mapping[str, socket.socket]) -> None:
        held = [] if self._web_config is None else [self._web_config]
        settings = self._settings | {"listening": list(doors), "has_web_config": bool(held)}
        fds = held + [door.fileno() for door in doors.values()]
        with contextlib.suppress(OSError):  # it is ending, or reads nothing any more
            socket.send_fds(channel, [protocol.SETTINGS + pack(settings)], fds)

    def _receive(self) -> None:
        """What the front wants. Some at a time: the events have their turn."""
        for _ in range(_MESSAGES_AT_ONCE):
            if self._running is None:
                return
            try:
                verb, fds, _, _ = socket.recv_fds(
                    self._running.channel, 1, 1, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                verb, fds = b"", []
            if not verb:  # it ends, and its end is heard of elsewhere
                asyncio.get_running_loop().remove_reader(self._running.channel)
                return
            self._running.heard_at = time.monotonic()
            self._do(verb, fds)

    def _do(self, verb: bytes, fds: list[int]) -> None:
        if verb == protocol.NUMBERS_WANTED and self._numbers_due is None:
            delay = max(0.0, self._numbers_at + _NUMBERS_SECONDS - time.monotonic())
            loop = asyncio.get_running_loop()
            self._numbers_due = loop.call_later(delay, self._send_numbers)
        elif fds and verb == protocol.QUESTION:
            self._sources.ask(fds.pop())
        elif fds and verb == protocol.FEED:
            self._sources.feed(fds.pop())
        for fd in fds:
            os.close(fd)

    def _send_numbers(self) -> None:
        self._numbers_due = None
        self._numbers_at = time.monotonic()
        if self._running is None:
            return
        with contextlib.suppress(OSError):  # no memory or no descriptor; it will ask again
            fd = os.memfd_create("agentd-numbers", os.MFD_CLOEXEC)
            try:
                numbers = pack(self._sources.numbers())
                if os.write(fd, numbers) != len(numbers):
                    raise OSError(errno.EFBIG, "RLIMIT_FSIZE")
                socket.send_fds(self._running.channel, [protocol.NUMBERS], [fd])
            finally:
                os.close(fd)

    def _ended(self) -> None:
        """The front has, or is about to."""
        running, self._running = self._running, None
        assert running is not None
        if running.silence is not None:
            running.silence.cancel()
        asyncio.get_running_loop().remove_reader(running.pidfd)
        if running.channel.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(running.channel)
            running.channel.close()
        os.close(running.pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1])
        if time.monotonic() - running.begun_at > _WELL_SECONDS:
            self._again_seconds = _AGAIN_MIN_SECONDS
        if self._is_closed:
            return
        if code == os.EX_OK:
            self._watch_all()
        else:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._failed(how)

    def _failed(self, problem: str) -> None:
        self.failures_total += 1
        seconds, self._again_seconds = (
            self._again_seconds, min(2 * self._again_seconds, _AGAIN_MAX_SECONDS)
        )  # fmt: skip
        self._log.error("the front failed", problem=problem, again_after_seconds=seconds)
        self._again = asyncio.get_running_loop().call_later(seconds, self._watch_all)

    def _watch_all(self) -> None:
        self._again = None
        for door in self._doors.values():
            self._watch(door)


def _become_front(channel_fd: int) -> None:
    """In a copy of the daemon: be another program. Standard output is not a front's."""
    keep_fds([channel_fd])
    os.set_inheritable(channel_fd, True)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for name in _NOT_FOR_A_FRONT:
        os.environ.pop(name, None)
    os.environ["MALLOC_ARENA_MAX"] = "1"
    # -P: not a line from the folder where somebody happens to have started us
    os.execv(sys.executable, [sys.executable, "-P", "-m", "agentd.front", str(channel_fd)])
