"""The daemon's side of loading: give the loader its orders, take over its file descriptors.

That is done as early as can be, so that BCC compiles while the rest of the daemon starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass

from agentd.core.text import as_text
from agentd.errors import AgentdError, PermissionMissingError, UnavailableError
from agentd.kernel import loader_protocol
from agentd.kernel.compile import Settings
from agentd.kernel.loader_process import LoaderProcess
from agentd.kernel.loader_protocol import Failure, Handover
from agentd.requirements import probe

LOADER_TIMEOUT_SECONDS = 100
"""It takes half a second; on an emulated CPU that others want, too, more than a minute. systemd
waits 120 seconds, and so hears of it."""


@dataclass(frozen=True, slots=True)
class Attached:
    """Programs that run in the kernel, and what the loader said while it built them."""

    handover: Handover
    settings: Settings
    """What they were built for."""
    log: str


class LoaderError(UnavailableError):
    """The loader failed; ``log`` is what the compiler or the verifier said."""

    def __init__(self, message: str, hint: str, log: str) -> None:
        super().__init__(message, hint)
        self.log = log


class Loader:
    """A running loader. ``attached`` waits for what it brings; ``close`` ends it in any case."""

    def __init__(self, settings: Settings, process: LoaderProcess | None = None) -> None:
        self._settings = settings
        self._process = process or LoaderProcess()
        self._socket = self._process.socket
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # attached() will tell
            self._socket.send(loader_protocol.encode_settings(settings))
        self._socket.setblocking(False)

    async def attached(self) -> Attached:
        """Wait for the loader to attach. It stays until it is dismissed.

        Raises PermissionMissingError, or UnavailableError when the kernel or the host lacks
        something.
        """
        try:
            async with asyncio.timeout(LOADER_TIMEOUT_SECONDS):
                await self._readable()
            self._socket.settimeout(LOADER_TIMEOUT_SECONDS)
            answer = loader_protocol.receive(self._socket)
        except TimeoutError:
            raise LoaderError("the loader did not answer", _DEBUG_HINT, self._log()) from None
        if isinstance(answer, Handover):
            return Attached(answer, self._settings, self._log())
        code = self._process.wait()
        if answer is None:
            raise _death(code, self._log())
        raise _error(answer, self._log())

    def dismiss(self) -> None:
        """Let the loader end: what only it kept alive has been taken over."""
        self._socket.shutdown(socket.SHUT_WR)
        self._process.wait()

    def close(self) -> None:
        """End the loader if it still runs, and let go of what belonged to it."""
        self._process.close()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._socket.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._socket.fileno())

    def _log(self) -> str:
        fd = self._process.log.fileno()
        return as_text(os.pread(fd, os.fstat(fd).st_size, 0))


_DEBUG_HINT = "--set log.level=debug shows what it printed"


def _death(code: int, log: str) -> AgentdError:
    """Why the loader ended without an answer: something that crashes Python, or its last words."""
    try:
        probe.check_libbpf()
        probe.check_bcc()
    except UnavailableError as error:
        return LoaderError(_failed(error.message), error.hint, log)
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    words = f", and said last: {lines[-1]}" if lines else ""
    hint = "is memory short? journalctl -k has the kernel's word" if code == -9 else _DEBUG_HINT
    return LoaderError(_failed(f"the loader {probe.how_it_ended(code)}{words}"), hint, log)


def _failed(why: str) -> str:
    return f"the BPF programs could not be loaded: {why}"


def _error(failure: Failure, log: str) -> PermissionMissingError | LoaderError:
    if failure.kind == loader_protocol.FAILED_PERMISSION or "Operation not permitted" in log:
        return PermissionMissingError(
            f"the kernel refused to load BPF programs: {failure.message}",
            "run as root; kernel lockdown or a container's seccomp filter forbid it as well",
        )
    hint = {
        loader_protocol.FAILED_REQUIREMENT: failure.hint,
        loader_protocol.FAILED_COMPILE: f"the compiler says: {_compiler_message(log)}",
        loader_protocol.FAILED_PERF: (
            "smaller buffers (transport.perf_bytes_per_cpu), or more that may be locked in memory:"
            " CAP_IPC_LOCK, or sysctl kernel.perf_event_mlock_kb"
        ),
        loader_protocol.FAILED_LOAD: f"the kernel says: {_verifier_message(log)}",
    }[failure.kind]
    return LoaderError(_failed(failure.message), hint, log)


def _compiler_message(log: str) -> str:
    """The first error; what follows is often its consequence."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines[-1:] or ["nothing"])[0]


def _verifier_message(log: str) -> str:
    """The last line of the verifier's log, but for its statistics."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("processed ")]
    return lines[-1] if lines else "nothing"
