"""Takes requests, has workers answer them, and ends the workers that are stuck.

It does nothing itself that could block. A worker that is killed and still does not end (it waits in
the kernel, state D) is left alone; there are at most so many of these for each job.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentd.helpers import frames
from agentd.helpers.worker import Answers, Progress

_TICK_SECONDS = 0.05
"""How often workers are looked at while there are any."""
_ALARM_SECONDS = 5
"""The kernel ends a worker so long after its time, should the coordinator have died."""
_RUNNING_FACTOR = 10
"""A worker that wants a CPU and gets none has so many times as long for an item."""
_IDLE_SECONDS = 60.0
_MEMORY_BYTES_MAX = 512 << 20
_OOM_SCORE_ADJ = b"500"
"""The first to go where memory is short; never the daemon."""
_STUCK_SECONDS = 600.0
_STUCK_KEPT = 1024
"""How many processes are known to keep their readers waiting, and for how long."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job."""

    module: str
    """Where its ``run(answers, arguments, progress)`` is; a worker alone imports it."""
    stuck_max: int
    """How many workers may be left that do not end."""
    item_seconds: float = 0.0
    """How long one item may take, where another worker can go on behind it; 0: it cannot."""


SCAN = {"processes": Kind("agentd.helpers.jobs.proc_scan", stuck_max=8, item_seconds=1.0)}
"""The one job for which a capability is of use."""
JOBS = SCAN | {
    "users": Kind("agentd.helpers.jobs.user_names", stuck_max=2),
    "cgroups": Kind("agentd.helpers.jobs.cgroup_paths", stuck_max=2),
    "journal": Kind("agentd.helpers.jobs.journal", stuck_max=2),
    "canary": Kind("agentd.helpers.jobs.canary", stuck_max=4),
}


@dataclass(slots=True)
class _Job:
    name: str
    kind: Kind
    arguments: Any
    until: float
    socket: socket.socket
    progress: Progress = field(default_factory=Progress)
    workers: int = 0

    def fail(self, text: str) -> None:
        """Say so, if the daemon takes it, and be done with it."""
        with contextlib.suppress(OSError):  # else it sees that the socket ends
            self.socket.send(frames.failure(text), socket.MSG_DONTWAIT)
        self.socket.close()


class Coordinator:
    """Serves one daemon. ``idle_seconds``: it ends when nothing was asked for so long."""

    def __init__(
        self,
        control: socket.socket,
        kinds: Mapping[str, Kind],
        *,
        gives_up: bool = False,
        idle_seconds: float | None = None,
    ) -> None:
        self._control = control
        self._kinds = kinds
        self._gives_up = gives_up
        """Whether workers of other jobs than the scan have a capability to give up."""
        self._idle_seconds = idle_seconds
        self._asked = time.monotonic()
        self._running: dict[int, _Job] = {}
        self._left: dict[int, str] = {}
        """Workers that were killed and have not ended yet, and their jobs."""
        self._stuck: dict[tuple[int, int], float] = {}
        """Processes that kept a worker waiting, and until when that is believed of them."""

    def run(self) -> None:
        """Until the daemon has gone. Raises ValueError for a request that is none."""
        wake, wakes = os.pipe()
        for fd in (wake, wakes):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(wake, select.POLLIN)
        poller.register(self._control, select.POLLIN)
        try:
            while not self._is_idle():
                ready = {fd for fd, _ in poller.poll(self._pause_ms())}
                if wake in ready:
                    os.read(wake, 4096)
                self._reap()
                self._watch(time.monotonic())
                if self._control.fileno() in ready and not self._take():
                    return
        finally:
            for pid in self._running:
                os.kill(pid, signal.SIGKILL)

    def _pause_ms(self) -> float | None:
        if self._running:
            return _TICK_SECONDS * 1e3
        return None if self._idle_seconds is None else self._idle_seconds * 1e3

    def _is_idle(self) -> bool:
        """Whether to end: nobody asks, and there is nothing to remember."""
        now = time.monotonic()
        self._stuck = {key: until for key, until in self._stuck.items() if until > now}
        busy = self._running or self._left or self._stuck or self._idle_seconds is None
        return not busy and now >= self._asked + (self._idle_seconds or 0.0)

    def _take(self) -> bool:
        """One request; False where the daemon has gone."""
        try:
            packet, fds = frames.receive_request(self._control)
        except ConnectionError:
            return False
        if not packet:
            return False
        if not fds:
            raise ValueError("a request without a socket")
        answers = socket.socket(fileno=fds[0])
        name, seconds, arguments = frames.read_request(packet)
        if name not in self._kinds:
            raise ValueError(f"no such job: {name!r}")
        self._asked = time.monotonic()
        for pid, job in list(self._running.items()):
            if job.name == name:  # its answer is not waited for any more
                self._kill(pid)
                job.fail("another request came")
        self._begin(_Job(name, self._kinds[name], arguments, self._asked + seconds, answers))
        return True

    def _begin(self, job: _Job) -> None:
        """Another worker for it."""
        left = sum(name == job.name for name in self._left.values())
        bare = job.workers > job.kind.stuck_max or left >= job.kind.stuck_max
        if bare and (not job.kind.item_seconds or job.workers > job.kind.stuck_max + 1):
            job.fail(f"{left} processes of this helper are stuck")
            return
        job.workers += 1
        job.progress.end()
        try:
            pid = os.fork()
        except OSError as error:
            job.fail(f"no process: {error.strerror}")
            return
        if pid == 0:
            try:
                self._work(job, bare=bare)
            finally:
                os._exit(1)
        self._running[pid] = job

    def _reap(self) -> None:
        """See who has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._left.pop(pid, None)
            job = self._running.pop(pid, None)
            if job is None:
                continue
            if job.kind.item_seconds and os.WIFSIGNALED(status):  # for want of memory, perhaps
                self._begin(job)
            else:
                job.socket.close()

    def _watch(self, now: float) -> None:
        """End those that take too long."""
        for pid, job in list(self._running.items()):
            if now > job.until:
                self._kill(pid)
                job.fail("it took too long")
            elif job.kind.item_seconds and self._is_stuck(pid, job):
                self._kill(pid)
                if len(self._stuck) < _STUCK_KEPT:
                    self._stuck[job.progress.key] = now + _STUCK_SECONDS
                self._begin(job)

    def _is_stuck(self, pid: int, job: _Job) -> bool:
        over = job.progress.item_seconds() / job.kind.item_seconds
        return over > (_RUNNING_FACTOR if over > 1 and _wants_cpu(pid) else 1)

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._left[pid] = self._running.pop(pid).name

    def _work(self, job: _Job, *, bare: bool) -> None:
        """The worker, from its fork to its end."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(math.ceil(max(0.0, job.until - time.monotonic())) + _ALARM_SECONDS)
        self._control.close()
        for other in self._running.values():
            other.socket.close()
        answers, arguments = Answers(job.socket), job.arguments
        try:
            _be_the_first_to_go()
            if self._gives_up and job.name not in SCAN:
                from agentd.host import capabilities  # noqa: PLC0415 (memory)

                capabilities.keep_only(())
            if job.name in SCAN:
                arguments = arguments | {"stuck": list(self._stuck), "bare": bare}
            importlib.import_module(job.kind.module).run(answers, arguments, job.progress)
        except ConnectionError:
            pass  # nobody wants to know any more
        except OSError as error:
            answers.failed(error.strerror or str(error))
        except Exception as error:  # whatever it is, it is one answer that fails
            answers.failed(f"{type(error).__name__}: {error}")


def serve_scans(control: socket.socket) -> None:
    """Serve a daemon that connected to the scan socket, until it has gone or is long silent.

    Raises ValueError for a request that is none, OSError where ``control`` is no socket.
    """
    Coordinator(control, SCAN, idle_seconds=_IDLE_SECONDS).run()


def _be_the_first_to_go() -> None:
    """A worker may take so much memory, and is ended before anybody else.

    Where a sandbox does not let it say so, the bounds of its unit hold.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_OOM_SCORE_ADJ)


def _wants_cpu(pid: int) -> bool:
    """Whether a worker of ours is not waiting for anything but a CPU (state R)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read(4096).rpartition(b")")[2].split()[0] == b"R"
    except (OSError, IndexError):
        return False
