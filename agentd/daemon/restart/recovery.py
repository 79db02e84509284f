"""A checkpoint that cannot be read: agentd goes on with what the kernel's buffer still holds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from agentd.core.loss.tracker import Progress
from agentd.core.restart.recovered import recovered
from agentd.core.wire.decode import Decoder
from agentd.core.wire.events import Event
from agentd.daemon.restart.checkpoint import Ledger, LedgerDamagedError
from agentd.host import clock
from agentd.kernel.counters import Counters
from agentd.kernel.ringbuf import Ringbuf

_DRAIN_BYTES = 1 << 22
_PATIENCE_SECONDS = 1.0
"""For a record that the kernel is just writing, and all behind it."""
CONSEQUENCE = (
    "events in the buffer may be reported twice, under the same event.id; what an output had"
    " dropped and not reported is not known any more"
)


def open_ledger(fd: int | None, cpus: int, causes: int) -> tuple[Ledger, Progress | None, bool]:
    """The ledger behind ``fd``, or a new one; what it says; and whether it is damaged."""
    if fd is None:
        return Ledger.fresh(cpus, causes), None, False
    try:
        ledger = Ledger(fd, cpus, causes)
    except LedgerDamagedError:
        os.close(fd)
        return Ledger.fresh(cpus, causes), None, True
    try:
        return ledger, ledger.read(), False
    except LedgerDamagedError:
        ledger.clear()
        return ledger, None, True


def recover(counters: Counters, ring: tuple[int, int] | None, decoder: Decoder) -> Progress:
    """Where to go on. ``ring``: the fd and size of a ring buffer that is still there."""
    before, at_ns = counters.read(), clock.boottime_ns()
    return recovered(() if ring is None else _held(*ring, decoder), before, at_ns)


def _held(fd: int, size_bytes: int, decoder: Decoder) -> Iterator[Event]:
    """What a ring holds; it stays there."""
    ring = Ringbuf(os.dup(fd), size_bytes)
    until = time.monotonic() + _PATIENCE_SECONDS
    try:
        drained = False
        while not drained and time.monotonic() < until:
            delivery = ring.drain(_DRAIN_BYTES)
            yield from decoder.decode(delivery.data, delivery.spans)
            drained = delivery.drained
    finally:
        ring.close()
