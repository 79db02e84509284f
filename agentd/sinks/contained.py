"""Encoding that loses one entry where its encoder fails on it, and never the daemon.

What an entry holds is chosen by whoever starts processes. Should an encoder not expect something,
that entry leaves as a ``lost`` line of stage ``sink`` at its place, and the others as ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agentd.core.batch import Batch
from agentd.core.log_rate import LogRate
from agentd.core.pipeline import Entry
from agentd.core.undelivered import loss_of
from agentd.errors import AgentdError

Encode = Callable[[Batch], list[bytes]]
"""A batch as payloads: one for a stream, one an event for datagrams."""


class EncodeError(AgentdError):
    """An encoder failed on an entry; its cause is the bug."""


class ContainedEncoder:
    """Encodes batches. ``report`` gets an ``EncodeError``, at most once a minute."""

    def __init__(self, encode: Encode, report: Callable[[EncodeError], None]) -> None:
        self.failed_total = 0
        """Entries that the encoder failed on."""
        self.silent_total = 0
        """Those of them that left no ``lost`` line either."""
        self._encode = encode
        self._report = report
        self._report_rate = LogRate()

    def encode(self, batch: Batch) -> list[bytes]:
        """The batch as payloads. Raises nothing."""
        try:
            return self._encode(batch)
        except Exception:  # whatever it is, it must not end the daemon
            numbered = enumerate(batch.entries, batch.first_sequence)
            return [
                data
                for number, entry in numbered
                for data in self._one(entry, number, batch.wall_offset_ns)
            ]

    def failed(self, what: str, bug: Exception) -> None:
        """Report a failure, unless one has just been reported."""
        if not self._report_rate.is_due(time.monotonic()):
            return
        error = EncodeError(f"{what}: {type(bug).__name__}: {bug}; this is a bug of agentd")
        error.__cause__ = bug
        self._report(error)

    def _one(self, entry: Entry, number: int, wall_offset_ns: int) -> list[bytes]:
        try:
            return self._encode(Batch([entry], number, wall_offset_ns))
        except Exception as bug:
            self.failed_total += 1
            self.failed(f"cannot encode an entry, reported it as lost ({_kind(entry)})", bug)
        try:
            return self._encode(Batch([loss_of(entry)], number, wall_offset_ns))
        except Exception:
            self.silent_total += 1
            return []


def _kind(entry: Entry) -> str:
    return type(getattr(entry, "event", entry)).__name__.lower()
