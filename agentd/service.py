"""What is said to the service manager: ready, still alive, stopping (sd_notify(3))."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence

_USEC = 1_000_000


def _deaf(state: str, fds: Sequence[int] = ()) -> None:
    """Nobody started us that listens."""


class Service:
    """systemd's protocol; silent where something else, or a person, started agentd."""

    def __init__(self) -> None:
        self._notify: Callable[..., object] = _deaf
        self.keeps = bool(os.environ.get("NOTIFY_SOCKET"))
        """Whether it may keep file descriptors for the next process."""
        if self.keeps:
            from systemd.daemon import notify  # noqa: PLC0415 (memory)

            self._notify = notify

    @property
    def watchdog_seconds(self) -> float | None:
        """Within which time it must hear of us, or ends us; None without a watchdog."""
        usec = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        return int(usec) / _USEC if usec.isdigit() and pid == str(os.getpid()) else None

    def ready(self, status: str) -> None:
        """Attached and seeded, and the pipeline moves."""
        self._notify(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """An event of our own has come through the whole pipeline."""
        self._notify(f"WATCHDOG=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """A sentence about how it is going."""
        self._notify(f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` says when that is done."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def kept(self) -> dict[str, int]:
        """The file descriptors that a process before us had kept, by name."""
        if not os.environ.get("LISTEN_FDS"):
            return {}
        from systemd.daemon import listen_fds_with_names  # noqa: PLC0415 (memory)

        fds = {name: fd for fd, name in listen_fds_with_names(unset_environment=True).items()}
        for fd in fds.values():
            os.set_inheritable(fd, False)
        return fds

    def keep(self, named: Iterable[tuple[str, int]]) -> None:
        """Have these kept for the next process."""
        for name, fd in named:
            self._notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", fds=[fd])

    def forget(self, names: Iterable[str]) -> None:
        """Have these closed that were kept."""
        for name in names:
            self._notify(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def stopping(self) -> None:
        """The end has begun."""
        self._notify("STOPPING=1")
