"""What is said to the service manager: ready, still alive, stopping (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence

from agentd.terminal.escape import shortened

_USEC = 1_000_000
_PATIENCE_SECONDS = 1.0
"""How long a message may wait for room. A service manager that has frozen reads none ever again,
and a daemon that waits for it would report nothing any more."""


class Service:
    """systemd's protocol; silent where something else, or a person, started agentd.

    ``ends``: agentd was asked to end by itself, so there is no next process to keep anything for.
    """

    def __init__(self, *, ends: bool = False) -> None:
        self._address = _own_address()
        self.keeps = bool(self._address) and not ends
        """Whether it may keep file descriptors for the next process."""

    @property
    def watchdog_seconds(self) -> float | None:
        """Within which time it must hear of us, or ends us; None without a watchdog."""
        usec = os.environ.get("WATCHDOG_USEC", "")
        pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        return (
            int(usec) / _USEC
            if usec.isascii() and usec.isdigit() and pid == str(os.getpid())
            else None
        )

    def ready(self, status: str) -> bool:
        """Attached and seeded, and the pipeline moves. Returns whether that was heard."""
        return self._notify(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """An event of our own has come through the whole pipeline."""
        self._notify(f"WATCHDOG=1\nSTATUS={status}", patience_seconds=0)

    def status(self, status: str) -> None:
        """A sentence about how it is going."""
        self._notify(f"STATUS={status}", patience_seconds=0)

    def reloading(self) -> None:
        """The configuration is being read again; ``ready`` says when that is done."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def kept(self, refuse: Callable[[str], object]) -> dict[str, int]:
        """The file descriptors that a process before us had kept, by name.

        ``refuse`` hears why there are none although LISTEN_FDS says so.
        """
        if not os.environ.get("LISTEN_FDS"):
            return {}
        from systemd.daemon import listen_fds_with_names  # noqa: PLC0415 (memory)

        count = shortened(os.environ["LISTEN_FDS"])
        try:
            found = listen_fds_with_names(unset_environment=True)
        except (OSError, ValueError) as error:  # not systemd's: no number, or none that are open
            refuse(f"LISTEN_FDS={count}: {getattr(error, 'strerror', None) or error}")
            found = {}
        fds: dict[str, int] = {}
        for fd, name in found.items():
            os.set_inheritable(fd, False)
            if name in fds:
                os.close(fds[name])
            fds[name] = fd
        return fds

    def keep(self, named: Iterable[tuple[str, int]]) -> bool:
        """Have these kept for the next process. Returns whether all were taken."""
        return all(
            self._notify(f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", fds=[fd]) for name, fd in named
        )

    def forget(self, names: Iterable[str]) -> None:
        """Have these closed that were kept."""
        for name in names:
            self._notify(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def stopping(self) -> None:
        """The end has begun."""
        self._notify("STOPPING=1")

    def _notify(
        self, state: str, fds: Sequence[int] = (), patience_seconds: float = _PATIENCE_SECONDS
    ) -> bool:
        """Returns whether it was taken; libsystemd would wait for that without a limit."""
        if not self._address:
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(patience_seconds)
            try:
                sock.connect("\0" + self._address[1:] if self._address[0] == "@" else self._address)
                socket.send_fds(sock, [state.encode()], list(fds))
            except OSError:
                return False
        return True


def _own_address() -> str:
    """The service manager's socket, if it has started this process; empty if not.

    A shell inside of a service inherits NOTIFY_SOCKET, and whatever is run there. systemd says whom
    it has started (SYSTEMD_EXEC_PID in systemd.exec(5)). Our own children inherit nothing.
    """
    address = os.environ.pop("NOTIFY_SOCKET", "")
    started = os.environ.get("SYSTEMD_EXEC_PID", "")
    return address if started in ("", str(os.getpid())) else ""
