"""Work on what an operator wrote, tried in a child process first.

A pattern can take any time and memory to compile, and a file on a dead server never to be read. The
child may be stopped at any moment; what comes back is plain values, or the error that it met. The
parent does nothing with the input itself, so that a bad one changes nothing.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import select
import time
from collections.abc import Callable
from functools import partial
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU
from typing import Any

from agentd import errors
from agentd.copies import copied, end, keep_fds, limit
from agentd.errors import ConfigError
from agentd.requirements.causes import known_cause

CPU_SECONDS = 2
"""A large configuration takes 0.1 s."""
MEMORY_BYTES = 128 << 20
"""Beyond what the parent has."""
LIMIT_SECONDS = 10.0
"""For all of it: a busy host, a slow file system."""
_ANSWER_MAX_BYTES = 16 << 20
_OOM_SCORE_ADJ = 500
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
        try:
            self._pid = copied(partial(_answer, what, theirs, work))
        except (OSError, RuntimeError) as error:
            os.close(self.fd)
            raise ConfigError(f"{what}: cannot be tried: {error}") from None
        finally:
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
        """End the child."""
        os.close(self.fd)
        end(self._pid)


def _virtual_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _answer(what: str, answer_fd: int, work: Work) -> None:
    """In the child: do the work, and write what comes of it."""
    _confine(answer_fd)
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


def _confine(answer_fd: int) -> None:
    """Hold nothing of the parent's, and take no more than is allowed."""
    keep_fds([answer_fd])
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    most = {RLIMIT_AS: _virtual_bytes() + MEMORY_BYTES, RLIMIT_CPU: CPU_SECONDS, RLIMIT_CORE: 0}
    limit(most, nice=0, oom_score_adj=_OOM_SCORE_ADJ)
