"""What the command line asks a daemon for, beside the configuration."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agentd.keeping import Left
from agentd.log_queue import LogQueue
from agentd.settings import Config


@dataclass(frozen=True, slots=True)
class Doors:
    """What strangers may connect to; each None where there is none, or none yet."""

    metrics: socket.socket | None
    control: socket.socket | None
    web_config: bytes
    """What ``front.checking`` said of it."""


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
