"""The sockets that strangers may connect to, and the web-config that was checked for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CheckedWebConfig:
    """A web-config that was read and found good, once: nobody reads the file again."""

    fd: int | None = None
    """A memfd that holds it, for the front; None where nobody needs one."""
    sections: Mapping[str, bytes] = field(default_factory=dict)
    """What tells the contents of each section from others."""
    protection: frozenset[str] = frozenset()
    """Of TLS, passwords and client certificates, what it asks for."""

    def close(self) -> None:
        """Let go of the contents."""
        if self.fd is not None:
            os.close(self.fd)


@dataclass(frozen=True, slots=True)
class Doors:
    """What strangers may connect to; each None where there is none, or none yet."""

    metrics: socket.socket | None
    control: socket.socket | None
    web_config: CheckedWebConfig
