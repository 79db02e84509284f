"""Work on what an operator wrote, tried in a child process first.

A pattern can take any time and memory to compile, and a file on a dead server never to be read. The
child may be stopped at any moment; what comes back is plain values, or the error that it met. The
parent does nothing with the input itself, so that a bad one changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from agentd import errors
from agentd.errors import ConfigError
from agentd.requirements.causes import known_cause

CPU_SECONDS = 2
"""A large configuration takes 0.1 s."""
MEMORY_BYTES = 128 << 20
"""Beyond what the parent has."""
LIMIT_SECONDS = 10.0
"""For all of it: a busy host, a slow file system."""
_ANSWER_MAX_BYTES = 16 << 20
_HINT = f"at most {CPU_SECONDS} s of CPU time and {MEMORY_BYTES >> 20} MiB: is a pattern too large?"

Work = Callable[[], Any]
"""Returns values that ``marshal`` knows."""


def run_in_child(what: str, work: Work) -> Any:
    """Return what ``work`` returns in a child. ``what`` names its input in errors.

    Raises the AgentdError that it raised, and ConfigError if it did not end well.
    """
    trial = _Trial(what, work)
    try:
        poll = select.poll()
        poll.register(trial.fd, select.POLLIN)
        until_seconds = time.monotonic() + LIMIT_SECONDS
        while not trial.read():
            left_seconds = until_seconds - time.monotonic()
            if left_seconds <= 0 or not poll.poll(left_seconds * 1000):
                raise trial.too_long()
        return trial.result()
    finally:
        trial.close()


async def run_in_child_async(what: str, work: Work) -> Any:
    """Return the same, and let the event loop go on meanwhile."""
    trial = _Trial(what, work)
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(trial.fd, ready.set)
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not trial.read():
                ready.clear()
                await ready.wait()
        return trial.result()
    except TimeoutError:
        raise trial.too_long() from None
    finally:
        loop.remove_reader(trial.fd)
        trial.close()


class _Trial:
    """One child, and the pipe that it answers through."""

    def __init__(self, what: str, work: Work) -> None:
        self._what = what
        self._answer = bytearray()
        self.fd, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        memory_bytes = _virtual_bytes() + MEMORY_BYTES
        # until its handlers are gone, a signal to the child would be taken for the parent's
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._pid = os.fork()
            if not self._pid:
                _be_child(what, theirs, memory_bytes, work)
        except OSError as error:
            os.close(self.fd)
            raise ConfigError(f"{what}: cannot be tried: {error.strerror}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
            os.close(theirs)

    def read(self) -> bool:
        """Take what there is; whether that is all."""
        while True:
            try:
                piece = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return False
            self._answer += piece
            if not piece or len(self._answer) > _ANSWER_MAX_BYTES:
                return True

    def result(self) -> Any:
        """What the child returned, or what it raised."""
        try:
            is_good, value = marshal.loads(self._answer)
        except (EOFError, ValueError, TypeError):
            raise ConfigError(f"{self._what}: takes too much time or memory", _HINT) from None
        if is_good:
            return value
        kind, message, hint = value
        raise getattr(errors, kind, ConfigError)(message, hint)

    def too_long(self) -> ConfigError:
        """The error for a child that does not answer."""
        return ConfigError(f"{self._what}: could not be read within {LIMIT_SECONDS:g} s")

    def close(self) -> None:
        """End the child. One that hangs in the kernel is not waited for."""
        os.close(self.fd)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            until_seconds = time.monotonic() + _GONE_SECONDS
            while not os.waitpid(self._pid, os.WNOHANG)[0] and time.monotonic() < until_seconds:
                time.sleep(0.001)


_GONE_SECONDS = 0.05
"""What a killed process takes to end, unless it hangs."""


def _virtual_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _be_child(what: str, answer_fd: int, memory_bytes: int, work: Work) -> None:
    """Do the work, answer, and end without anything that the parent would do at its end."""
    try:
        _confine(answer_fd, memory_bytes)
        try:
            answer = marshal.dumps((True, work()))
        except MemoryError:
            answer = b""
        except Exception as error:  # whatever it is, it is about this input
            words = f"{what}: {type(error).__name__}: {error}"
            cause = known_cause(error) or ConfigError(words)
            answer = marshal.dumps((False, (type(cause).__name__, cause.message, cause.hint)))
        os.set_blocking(answer_fd, True)
        while answer:
            answer = answer[os.write(answer_fd, answer) :]
    finally:
        os._exit(0)


def _confine(answer_fd: int, memory_bytes: int) -> None:
    """Hold nothing of the parent's, obey its signals, and take no more than is allowed."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, answer_fd)
    os.closerange(answer_fd + 1, 1 << 20)
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (soft, soft))
