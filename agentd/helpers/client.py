"""What the daemon asks its helpers, and what becomes of it: an answer in time, or a failure.

Whatever a helper sends, or does not send, is never more than a ``HelperError``. It is counted, and
the log has at most one line a minute for each job.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from agentd.core.log_rate import LogRate
from agentd.helpers import frames
from agentd.helpers.links import ChildLink, Link, ServiceLink

Take: TypeAlias = Callable[[Any], None]

PROCESSES: Final = "processes"
USERS: Final = "users"
CGROUPS: Final = "cgroups"
JOURNAL: Final = "journal"
CANARY: Final = "canary"
ALL: Final = (PROCESSES, USERS, CGROUPS, JOURNAL, CANARY)

_GRACE_SECONDS = 10.0
"""A coordinator ends a job in time; one that has not done so long after is stuck itself."""


class HelperError(Exception):
    """There is no answer, or none of use; and why."""


class Helpers:
    """Those of one daemon. ``scan_socket``: where a service manager starts one for scans."""

    def __init__(self, keeps: tuple[int, ...], scan_socket: str, log: Any) -> None:
        self.failures = dict.fromkeys(ALL, 0)
        """How often a job failed."""
        self.child = ChildLink(keeps)
        self._service = ServiceLink(scan_socket) if scan_socket else None
        self._log = log
        self._locks = {job: asyncio.Lock() for job in ALL}
        """A coordinator ends a job for another of the same kind: who asks did not wait for it."""
        self._log_rates = {job: LogRate() for job in ALL}

    def begin(self) -> None:
        """Begin the one of ours, which needs a moment; what fails now is tried again later."""
        try:
            self.child.begin()
        except OSError as error:
            self._log.warning("no helper can be started", problem=str(error))

    def close(self) -> None:
        """End them; they are not waited for."""
        for link in (self.child, self._service):
            if link is not None:
                link.drop()

    async def ask(self, job: str, arguments: Any, seconds: float, take: Take) -> Any:
        """Have ``take`` each part of the answer; what it ends with. Raises HelperError.

        ``take`` raises ValueError for what is no such part.
        """
        try:
            async with self._locks[job]:
                return await _ask(self.child, job, arguments, seconds, take)
        except HelperError as error:
            self.failures[job] += 1
            if self._log_rates[job].is_due(time.monotonic()):
                times = self.failures[job]
                self._log.warning("a helper failed", helper=job, problem=str(error), failures=times)
            raise

    async def scan(self, arguments: Any, seconds: float, take: Take) -> None:
        """The same for a scan: by the service, or by the child where the service does not answer.

        ``take`` may so be given parts of two scans.
        """
        if self._service is not None:
            try:
                await _ask(self._service, PROCESSES, arguments, seconds, take)
                return
            except HelperError as error:
                self.failures[PROCESSES] += 1
                self._log.warning(
                    "no answer from the scan socket",
                    socket=self._service.path,
                    error=str(error),
                    consequence="files that other users' processes run are not verified",
                )
        await self.ask(PROCESSES, arguments, seconds, take)


async def _ask(link: Link, job: str, arguments: Any, seconds: float, take: Take) -> Any:
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.setblocking(False)
            link.send(frames.request(job, seconds, arguments), theirs.fileno())
            theirs.close()
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                return await _answer(link, job, ours, take)
    except TimeoutError:
        link.drop()
        raise HelperError(f"no answer within {seconds:.3g} s") from None
    except HelperError:
        raise
    except Exception as error:  # a helper that is confused, or not ours any more, ends nothing
        text = error.strerror if isinstance(error, OSError) else None
        raise HelperError(text or str(error) or type(error).__name__) from None


async def _answer(link: Link, job: str, ours: socket.socket, take: Take) -> Any:
    """What it ends with. Others have their turn between two parts."""
    loop = asyncio.get_running_loop()
    while True:
        packet = await loop.sock_recv(ours, frames.FRAME_BYTES_MAX + 1)
        if not packet:
            if job == CANARY:  # another program by then
                return None
            raise ValueError("it ended without an answer")
        link.works()
        kind, value = frames.read_answer(packet)
        if kind == frames.FAILED:
            raise HelperError(value)
        if kind == frames.DONE:
            return value
        take(value)
        await asyncio.sleep(0)
