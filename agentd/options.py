"""What the command line asks a daemon for, beside the configuration."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentd.keeping import Left
from agentd.log_queue import LogQueue
from agentd.settings import Config


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


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for beside the configuration."""

    duration_seconds: float | None
    record: Path | None
    reload: Callable[[], Awaitable[Config]] | None
    """Reads the configuration again."""
    left: Left
    succeeds: bool
    """Whether a process before us left anything; it may have been killed in mid-line."""
    log_lines: LogQueue
