"""Taking over from programs of another kind: of another version, or for another configuration.

They run until ours do, and a little longer. What they have written up to a moment at which both
ran is read with their account, and becomes the beginning of our stream; ours holds from there.
"""

from __future__ import annotations

import asyncio
import os

from agentd.core.loss.tracker import LossTracker, Progress, causes, unread_losses
from agentd.core.restart.resumed import unread
from agentd.core.restart.takeover import Inheritance
from agentd.core.undelivered import untold_by
from agentd.core.wire.decode import Decoder
from agentd.core.wire.events import Event, Lost
from agentd.core.wire.header import parse_wire
from agentd.daemon.restart.fdstore import Former
from agentd.daemon.restart.recovery import open_ledger, recover
from agentd.host import clock
from agentd.kernel.compile import PERFBUF
from agentd.kernel.counters import Counters
from agentd.kernel.ringbuf import Ringbuf
from agentd.kernel.transport import room_stage
from agentd.kernel.wire_header import wire_text

_PATIENCE_NS = 1_000_000_000
"""How long what was attempted before the cut may take to arrive."""
_POLL_SECONDS = 0.005
_DRAIN_BYTES = 1 << 24


async def inherit(former: Former, position: Progress | None) -> Inheritance:
    """What they left. They go on until nobody keeps them any more.

    ``position``: how far their stream was handed on, if the ledger does not say it.
    """
    handover = former.attached.handover
    reading = _Reading(former, position)
    try:
        if former.wire_text == wire_text() and handover.transport != PERFBUF:
            return await reading.to_the_cut()
        os.close(handover.events_fd)  # gone with its reader, or not to be understood
        return reading.nothing()
    finally:
        reading.close()
        rest = (*handover.link_fds, *handover.program_fds, *handover.perf_fds)
        for fd in (handover.cgroups_fd, *rest):
            os.close(fd)


class _Reading:
    """Their account, their buffer, and the cut."""

    def __init__(self, former: Former, position: Progress | None) -> None:
        self._former = former
        settings, handover = former.attached.settings, former.attached.handover
        self._wire = parse_wire(former.wire_text)
        kinds = self._wire.constant("AGENTD_KINDS")
        layout = self._wire.layout("agentd_counters")
        self._causes = causes(kinds, room_stage(handover))
        size = settings.cpus, len(self._causes)
        self._ledger, progress, self._damaged = open_ledger(former.progress_fd, *size)
        self._counters = Counters(handover.counters_fd, layout, settings.cpus, kinds)
        self._damaged = self._damaged and position is None
        progress = self._recovered() if self._damaged else position or progress
        self._progress = progress or self._beginning()
        self._cut_ns = clock.boottime_ns()
        self._until = self._counters.read()

    def nothing(self) -> Inheritance:
        """All that nobody has read is lost, and told."""
        losses = unread_losses(self._progress, self._until, self._cut_ns)
        return Inheritance(self._cut_ns, [], losses, untold_by(self._progress), self._damaged)

    async def to_the_cut(self) -> Inheritance:
        """All that was attempted until the cut, as it arrives."""
        settings = self._former.attached.settings
        ring = Ringbuf(self._former.attached.handover.events_fd, settings.ring_bytes)
        decoder = Decoder(self._wire, settings.cpus)
        tracker = LossTracker(settings.cpus, self._causes)
        tracker.resume(self._progress)
        events: list[Event] = []
        losses: list[Lost] = []
        try:
            while not tracker.complete_below(self._until.seq):
                counters, now_ns = self._counters.read(), clock.boottime_ns()
                delivery = ring.drain(_DRAIN_BYTES)
                new = unread(self._progress, decoder.decode(delivery.data, delivery.spans))
                tracker.arrive(new)
                events += new
                losses += tracker.settle(counters, now_ns, decoder.errors)
                if delivery.drained and now_ns - self._cut_ns > _PATIENCE_NS:
                    losses += tracker.abandon_below(self._until.seq, self._cut_ns)
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            ring.close()
        return Inheritance(
            self._cut_ns,
            [event for event in events if event.boottime_ns <= self._cut_ns],
            [lost for lost in losses if lost.from_boottime_ns <= self._cut_ns],
            untold_by(self._progress),
            self._damaged,
        )

    def close(self) -> None:
        """Let go of the account."""
        self._counters.close()
        self._ledger.close()

    def _recovered(self) -> Progress:
        """Where to go on when the checkpoint is damaged."""
        settings, handover = self._former.attached.settings, self._former.attached.handover
        is_ring = handover.transport != PERFBUF and self._former.wire_text == wire_text()
        ring = (handover.events_fd, settings.ring_bytes) if is_ring else None
        return recover(self._counters, ring, Decoder(self._wire, settings.cpus))

    def _beginning(self) -> Progress:
        """Of a stream of which nothing was ever handed on."""
        settings = self._former.attached.settings
        none = (0,) * settings.cpus
        first = (settings.first_seq,) * settings.cpus
        return Progress(first, (none,) * len(self._causes), 0, 0)
