"""Questions about the tree: a copy of the daemon's process (fork) has the tree as it was then.

One copy lives at a time, and rests between them: at most one a second, and a three-hundredth of
the time may go into making them. It serves all questions that wait by then, one after another, in
a copy of its own each, whose memory, time and crashes are nobody's but that question's.

The daemon reads nothing of a question. It gets a socket, keeps it until the next copy, and closes
it; whoever asked sees that nothing came if the copy died.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from resource import RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_FSIZE
from typing import Any

from agentd.core.log_rate import LogRate
from agentd.runtime.copies import copied, keep_fds, limit
from agentd.snapshot.question import DEADLINE_SECONDS

_WAITING_MAX = 64
"""Questions that may wait; the rest are refused."""
_REST_SECONDS = 1.0
_REST_TIMES = 300
"""How long to rest after a copy: that many times what it took to make."""
_CPU_SECONDS = 4
"""Of each answer. A whole list of 131,072 processes takes less than one."""
_ANSWER_SECONDS = 4.0
"""How long an answer may take its reader, so that one does not take the time of all."""
_MORE_BYTES = 256 << 20
"""Addresses that a copy may take beside those of the daemon."""
_NICE, _OOM_SCORE_ADJ = 5, 900


class Snapshots:
    """Makes the copies. ``answer`` runs in them: it reads a question from a socket and answers."""

    def __init__(self, answer: Callable[[int], object], log: Any) -> None:
        self.total = 0
        """Copies that were made."""
        self.failed_total = 0
        """Copies that could not be made, or did not end by themselves."""
        self.refused_total = 0
        """Questions for which there was no room."""
        self._answer = answer
        self._log = log
        self._log_rate = LogRate()
        self._waiting: list[int] = []
        self._running: tuple[int, int] | None = None
        self._rested_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counts(self) -> tuple[int, int, int]:
        """Copies, failures and refusals, for metrics."""
        return self.total, self.failed_total, self.refused_total

    def ask(self, fd: int) -> None:
        """Have a question answered that can be read there. The descriptor is ours from now on."""
        if len(self._waiting) >= _WAITING_MAX:
            self.refused_total += 1
            os.close(fd)
            return
        self._waiting.append(fd)
        self._plan()

    def close(self) -> None:
        """End what runs, and refuse what waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._let_go()
        if self._running is not None:
            pid, pidfd = self._running
            os.kill(pid, signal.SIGKILL)
            self._ended(pid, pidfd)

    def _plan(self) -> None:
        """Make a copy as soon as one may be."""
        if self._waiting and self._running is None and self._timer is None:
            delay = max(0.0, self._rested_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._copy)

    def _copy(self) -> None:
        self._timer = None
        begun = time.thread_time()  # on a busy host a fork may take long, and cost no more
        try:
            pid = copied(self._serve)
        except (OSError, RuntimeError) as error:
            self._failed(str(error))
            self._rested_at = time.monotonic() + _REST_SECONDS
            self._let_go()
            return
        took = time.thread_time() - begun
        self._rested_at = time.monotonic() + max(_REST_SECONDS, _REST_TIMES * took)
        self.total += 1
        self._let_go()
        self._watch(pid)

    def _watch(self, pid: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # no descriptor is left: there will be no answer, but an end
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._failed("no file descriptor is left")
            return
        self._running = pid, pidfd
        kill = loop.call_later(DEADLINE_SECONDS, os.kill, pid, signal.SIGKILL)

        def over() -> None:
            kill.cancel()
            self._ended(pid, pidfd)
            self._plan()

        loop.add_reader(pidfd, over)

    def _ended(self, pid: int, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self._running = None
        if status:
            self._failed(f"it ended with {os.waitstatus_to_exitcode(status)}")

    def _failed(self, problem: str) -> None:
        self.failed_total += 1
        if self._log_rate.is_due(time.monotonic()):
            total = self.failed_total
            self._log.warning("questions were not answered", problem=problem, total=total)

    def _let_go(self) -> None:
        for fd in self._waiting:
            os.close(fd)
        self._waiting = []

    def _serve(self) -> None:
        """In the copy: a copy for each question, in turn. Raises OSError if one of them failed."""
        keep_fds(self._waiting)
        limit({RLIMIT_CORE: 0, RLIMIT_FSIZE: 0}, nice=_NICE, oom_score_adj=_OOM_SCORE_ADJ)
        failed = 0
        for fd in self._waiting:
            pid = copied(partial(self._serve_one, fd))
            os.close(fd)
            failed += bool(os.waitpid(pid, 0)[1])
        if failed:
            raise OSError(f"{failed} answers failed")

    def _serve_one(self, fd: int) -> None:
        """In the copy of the copy."""
        keep_fds([fd])
        signal.setitimer(signal.ITIMER_REAL, _ANSWER_SECONDS)  # whose signal ends it
        most = {RLIMIT_CPU: _CPU_SECONDS, RLIMIT_AS: _most_bytes()}
        limit(most, nice=0, oom_score_adj=_OOM_SCORE_ADJ)
        with contextlib.suppress(BrokenPipeError):
            self._answer(fd)


def _most_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + _MORE_BYTES
