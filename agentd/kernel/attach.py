"""The daemon's side of loading: run the loader, take over its file descriptors.

The loader is started first of all, so that BCC compiles while the rest of the daemon starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

from agentd.errors import PermissionMissingError, UnavailableError
from agentd.kernel import handover
from agentd.kernel.handover import Failure, Handover
from agentd.kernel.program import Settings, kernel_headers

LOADER_TIMEOUT_SECONDS = 100
"""It takes half a second; on an emulated CPU that others want, too, more than a minute. systemd
waits 120 seconds, and so hears of it."""

_CAP_SYS_ADMIN = 21  # include/uapi/linux/capability.h
_CAP_PERFMON = 38
_CAP_BPF = 39


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

    def __init__(self, settings: Settings) -> None:
        check_capabilities()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._settings = settings
        self._socket = ours
        self._log_fd = os.memfd_create("agentd-loader-log")
        with theirs:
            self._process = subprocess.Popen(
                # -P: not a line from the folder where somebody happens to start us, as root
                [sys.executable, "-P", "-m", "agentd.kernel.loader", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log_fd,
                stderr=self._log_fd,
            )
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # attached() will tell
            ours.send(handover.encode_settings(settings))
        ours.setblocking(False)

    async def attached(self) -> Attached:
        """Wait for the loader to attach. It stays until it is dismissed.

        Raises PermissionMissingError, or UnavailableError when the kernel or the host lacks
        something.
        """
        try:
            async with asyncio.timeout(LOADER_TIMEOUT_SECONDS):
                await self._readable()
        except TimeoutError:
            raise LoaderError("the loader did not answer", _DEBUG_HINT, self._log()) from None
        self._socket.settimeout(LOADER_TIMEOUT_SECONDS)
        answer = handover.receive(self._socket)
        if isinstance(answer, Handover):
            return Attached(answer, self._settings, self._log())
        self._process.wait()
        raise _error(answer, self._log())

    def dismiss(self) -> None:
        """Let the loader end: what only it kept alive has been taken over."""
        self._socket.shutdown(socket.SHUT_WR)
        self._process.wait()

    def close(self) -> None:
        """End the loader if it still runs, and let go of what belonged to it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        os.close(self._log_fd)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._socket.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._socket.fileno())

    def _log(self) -> str:
        size = os.fstat(self._log_fd).st_size
        return os.pread(self._log_fd, size, 0).decode(errors="replace")


_DEBUG_HINT = "--set log.level=debug shows what it printed"


def check_capabilities() -> None:
    """Raise PermissionMissingError unless this process may load tracing programs."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)

    def has(capability: int) -> bool:
        return bool(effective >> capability & 1)

    if not (has(_CAP_SYS_ADMIN) or (has(_CAP_BPF) and has(_CAP_PERFMON))):
        raise PermissionMissingError(
            "agentd needs the capabilities CAP_BPF and CAP_PERFMON to attach its BPF programs",
            "run it as root, for instance with sudo",
        )


def _error(failure: Failure | None, log: str) -> PermissionMissingError | LoaderError:
    if failure is None:
        return LoaderError("the loader died without an answer", _DEBUG_HINT, log)
    if failure.kind == handover.FAILED_PERMISSION or "Operation not permitted" in log:
        return PermissionMissingError(
            f"the kernel refused to load BPF programs: {failure.message}",
            "run as root; kernel lockdown or a container's seccomp filter forbid it as well",
        )
    hint = {
        handover.FAILED_NO_BCC: "install BCC for Python: apt-get install python3-bpfcc",
        handover.FAILED_NO_BTF: (
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y,"
            f" or install the headers of this one in {kernel_headers()}"
        ),
        handover.FAILED_COMPILE: f"the compiler says: {_compiler_message(log)}",
        handover.FAILED_PERF: (
            "smaller buffers (transport.perf_bytes_per_cpu), or more that may be locked in memory:"
            " CAP_IPC_LOCK, or sysctl kernel.perf_event_mlock_kb"
        ),
        handover.FAILED_LOAD: f"the kernel says: {_verifier_message(log)}",
    }[failure.kind]
    return LoaderError(f"the BPF programs could not be loaded: {failure.message}", hint, log)


def _compiler_message(log: str) -> str:
    """The first error; what follows is often its consequence."""
    lines = [line.strip() for line in log.splitlines() if "error" in line.lower()]
    return lines[0] if lines else "nothing"


def _verifier_message(log: str) -> str:
    """The last line of the verifier's log, but for its statistics."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("processed ")]
    return lines[-1] if lines else "nothing"
