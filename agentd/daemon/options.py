"""What the command line asks a daemon for, beside the configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agentd.config.schema import Config
from agentd.daemon.restart.handover import Left
from agentd.log.queue import LogQueue


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
