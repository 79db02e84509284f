"""The transports by what the loader chose."""

from __future__ import annotations

from typing import TypeAlias

from agentd.kernel.compile import PERFBUF
from agentd.kernel.loader_protocol import Handover
from agentd.kernel.perfbuf import Perfbuf
from agentd.kernel.ringbuf import Ringbuf

Transport: TypeAlias = Ringbuf | Perfbuf


def open_transport(handover: Handover, ring_bytes: int, perf_bytes_per_cpu: int) -> Transport:
    """Take over the fds of what the loader set up, with the size it was told to set up."""
    if handover.transport == PERFBUF:
        return Perfbuf(handover.events_fd, handover.perf_fds, perf_bytes_per_cpu)
    return Ringbuf(handover.events_fd, ring_bytes)


def room_stage(handover: Handover) -> str:
    """The transport's word for no room."""
    return Perfbuf.room_stage if handover.transport == PERFBUF else Ringbuf.room_stage
