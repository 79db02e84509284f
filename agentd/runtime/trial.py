"""Work that may take any time and memory, done in a child process: mostly on what operators wrote.

A pattern can take any time and memory to compile, a file on a dead server never be read, and a name
service never answer. The child may be stopped at any moment; what comes back is plain values, or
the error that it met. The parent does nothing with the input itself, so a bad one changes nothing.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import select
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU
from typing import Any

from agentd import errors
from agentd.errors import ConfigError
from agentd.requirements.causes import known_cause
from agentd.runtime.copies import copied, end, keep_fds, limit

_ANSWER_MAX_BYTES = 16 << 20
_OOM_SCORE_ADJ = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a child may take. A large configuration takes 0.1 s."""

    cpu_seconds: int = 2
    memory_bytes: int = 128 << 20
    """Beyond what the parent has."""
    seconds: float = 10.0
    """For all of it: a busy host, a slow file system."""


class TrialError(ConfigError):
    """A child that did not come to an end by itself."""


Work = Callable[[], Any]
"""Returns values that ``marshal`` knows."""


def run_in_child(
    what: str, work: Work, bounds: Bounds = Bounds(), fds: Collection[int] = ()
) -> Any:
    """Return what ``work`` returns in a child. ``what`` names its input in errors; ``fds``: file
    descriptors that it needs.

    Raises the AgentdError that it raised, ConfigError for any other exception, and TrialError if
    there can be no child, or it takes more than it may.
    """
    trial = _Trial(what, work, bounds, fds)
    try:
        poll = select.poll()
        poll.register(trial.fd, select.POLLIN)
        until_seconds = time.monotonic() + bounds.seconds
        while not trial.read():
            left_seconds = until_seconds - time.monotonic()
            if left_seconds <= 0 or not poll.poll(left_seconds * 1000):
                raise trial.too_long()
        return trial.result()
    finally:
        trial.close()


async def run_in_child_async(
    what: str, work: Work, bounds: Bounds = Bounds(), fds: Collection[int] = ()
) -> Any:
    """Return the same, and let the event loop go on meanwhile."""
    trial = _Trial(what, work, bounds, fds)
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(trial.fd, ready.set)
    try:
        async with asyncio.timeout(bounds.seconds):
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

    def __init__(self, what: str, work: Work, bounds: Bounds, fds: Collection[int]) -> None:
        self._what = what
        self._bounds = bounds
        self._answer = bytearray()
        self.fd, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._pid = copied(partial(_answer, what, theirs, work, bounds, fds))
        except (OSError, RuntimeError) as error:
            os.close(self.fd)
            raise _no_child(what, error) from None
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
            most = f"{self._bounds.cpu_seconds} s of CPU time and"
            memory = f"{self._bounds.memory_bytes >> 20} MiB"
            raise TrialError(
                f"{self._what}: takes too much time or memory",
                f"at most {most} {memory}: is a pattern too large?",
            ) from None
        if is_good:
            return value
        kind, message, hint = value
        raise getattr(errors, kind, ConfigError)(message, hint)

    def too_long(self) -> TrialError:
        """The error for a child that does not answer."""
        return TrialError(f"{self._what}: could not be read within {self._bounds.seconds:g} s")

    def close(self) -> None:
        """End the child."""
        os.close(self.fd)
        end(self._pid)


def _no_child(what: str, error: OSError | RuntimeError) -> TrialError:
    """The error for one that cannot be made."""
    if isinstance(error, FileNotFoundError):  # which is how we know what threads there are
        hint = "mount -t proc proc /proc; in a chroot or a container, mount it there"
        return TrialError(f"{what}: cannot be tried: /proc is not mounted", hint)
    reason = getattr(error, "strerror", None) or error
    return TrialError(f"{what}: cannot be tried: {reason}")


def _virtual_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _answer(what: str, answer_fd: int, work: Work, bounds: Bounds, fds: Collection[int]) -> None:
    """In the child: do the work, and write what comes of it."""
    _confine(bounds, [answer_fd, *fds])
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


def _confine(bounds: Bounds, fds: Collection[int]) -> None:
    """Hold nothing of the parent's but these, and take no more than is allowed."""
    keep_fds(fds)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    memory_bytes = _virtual_bytes() + bounds.memory_bytes
    most = {RLIMIT_AS: memory_bytes, RLIMIT_CPU: bounds.cpu_seconds, RLIMIT_CORE: 0}
    limit(most, nice=0, oom_score_adj=_OOM_SCORE_ADJ)
