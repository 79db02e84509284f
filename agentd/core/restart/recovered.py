"""Where a stream goes on when nobody knows any more how far it was handed on."""

from __future__ import annotations

from collections.abc import Iterable

from agentd.core.loss.tracker import KernelCounters, Progress
from agentd.core.wire.events import Event


def recovered(events: Iterable[Event], counters: KernelCounters, at_ns: int) -> Progress:
    """Go on with what the buffer still holds. ``counters`` were read before these ``events``.

    Room is given back only when what it held has been handed on. So all that is behind the buffer
    has been; what is in it may be handed on twice. Numbers that are missing between its events
    failed, and are reported as lost; failures before them are taken for reported.
    """
    next_seq = list(counters.seq)
    present = [0] * len(next_seq)
    watermark_ns = at_ns
    for event in events:
        cpu = event.cpu
        next_seq[cpu] = min(next_seq[cpu], event.seq)
        present[cpu] += event.seq < counters.seq[cpu]
        watermark_ns = min(watermark_ns, event.boottime_ns - 1)
    settled = [list(row) for row in counters.failures]
    for cpu, end in enumerate(counters.seq):
        missing = end - next_seq[cpu] - present[cpu]
        for row in settled:
            unsettled = min(missing, row[cpu])
            row[cpu] -= unsettled
            missing -= unsettled
    return Progress(tuple(next_seq), tuple(map(tuple, settled)), at_ns, watermark_ns)
