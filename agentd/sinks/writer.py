"""Where a sink's bytes go: something that takes what it can and never waits."""

from __future__ import annotations

import os
from typing import Protocol

from agentd.errors import AgentdError


class SinkClosedError(AgentdError):
    """The reader of standard output has gone away."""


class SinkFailedError(AgentdError):
    """A sink cannot be written: a full disk, say, or nobody is there. Perhaps it can later."""

    exit_code = os.EX_IOERR


class Channel(Protocol):
    """Takes payloads, whole or in part."""

    def fileno(self) -> int:
        """Writable when ``send`` may be tried again."""

    def send(self, payload: memoryview) -> int:
        """How much of it was taken.

        Raises BlockingIOError if nothing can be taken until it is writable again, SinkClosedError
        or SinkFailedError if that will not be told.
        """

    def close(self) -> None:
        """Let go of it."""
