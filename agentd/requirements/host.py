"""What agentd needs of the host before it does anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from agentd.errors import UnavailableError
from agentd.host import namespaces
from agentd.requirements.limits import check_descriptors, shortage


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that the host must have."""

    subject: str
    check: Callable[[], None]
    """Raises AgentdError with the cause and the way out."""
    fine: str
    """What to say if it is there."""


def check_sys(path: str = "/sys/devices/system/cpu/possible") -> None:
    """Raise UnavailableError unless sysfs is mounted."""
    try:
        with open(path):
            pass
    except FileNotFoundError:
        raise UnavailableError(
            f"/sys is not mounted: there is no {path}",
            "mount -t sysfs sysfs /sys; for a container: docker's -v /sys:/sys:ro",
        ) from None
    except OSError as error:
        other = UnavailableError(f"{path} cannot be read: {error.strerror}", "run agentd as root")
        raise shortage(error) or other from None


def check_null_device(path: str = os.devnull) -> None:
    """Raise UnavailableError unless /dev/null can be opened."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        other = UnavailableError(
            f"{path} cannot be opened: {error.strerror}", f"rm -f {path}; mknod -m 666 {path} c 1 3"
        )
        raise shortage(error) or other from None


REQUIREMENTS = (
    Requirement("fds", check_descriptors, "enough file descriptors are left"),
    Requirement("/proc", namespaces.check, "this host's own, and so are pids and clocks"),
    Requirement("/sys", check_sys, "mounted"),
    Requirement("/dev/null", check_null_device, "there"),
)
"""In the order in which ``run`` checks them: without descriptors the others fail, too."""
