"""The loader's process. Little is imported here: it is begun before anything else.

While the rest of agentd is imported and the configuration read, it gets BCC into its memory.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from agentd.errors import PermissionMissingError, UnavailableError
from agentd.requirements.limits import shortage

_CAP_SYS_ADMIN = 21  # include/uapi/linux/capability.h
_CAP_PERFMON = 38
_CAP_BPF = 39


class LoaderProcess:
    """A loader that waits for its orders. Raises PermissionMissingError if it could do nothing."""

    def __init__(self) -> None:
        check_capabilities()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        """Where it takes orders, and answers."""
        self.log = open(os.memfd_create("agentd-loader-log"), "rb", buffering=0)  # noqa: SIM115
        """What it prints."""
        with theirs:
            self._process = subprocess.Popen(
                # -P: not a line from the folder where somebody happens to start us, as root
                [sys.executable, "-P", "-m", "agentd.kernel.loader", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
            )

    def wait(self) -> int:
        """Until it has ended. Returns its code: below 0, a signal's number."""
        return self._process.wait()

    def close(self) -> None:
        """End it if it still runs, and let go of what was its; more than once does no harm."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.socket.close()
        self.log.close()


def check_capabilities() -> None:
    """Raise PermissionMissingError unless this process may load tracing programs.

    Raises UnavailableError where /proc does not say.
    """
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration) as error:
        other = UnavailableError(f"/proc cannot be read: {error}", "mount -t proc proc /proc")
        raise shortage(error) or other from None
    effective = int(line.split()[1], 16)

    def has(capability: int) -> bool:
        return bool(effective >> capability & 1)

    if not (has(_CAP_SYS_ADMIN) or (has(_CAP_BPF) and has(_CAP_PERFMON))):
        raise PermissionMissingError(
            "agentd needs the capabilities CAP_BPF and CAP_PERFMON to attach its BPF programs",
            "run it as root, for instance with sudo",
        )
