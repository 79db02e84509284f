"""What the loader brought, opened: the buffers, the counters, and a pipeline made for them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

from agentd.core.loss.stages import STAGE_DECODE, STAGE_RESTART, STAGE_SKIPPED
from agentd.core.loss.tracker import KernelCounters, Progress, causes
from agentd.core.pipeline import Limits, Pipeline
from agentd.core.redact import Redact, redact_nothing
from agentd.core.undelivered import untold_by
from agentd.core.wire.decode import Decoder
from agentd.daemon.restart.recovery import open_ledger, recover
from agentd.host import clock, program_counts
from agentd.kernel.compile import PERFBUF
from agentd.kernel.counters import Counters
from agentd.kernel.loader_client import Attached
from agentd.kernel.loader_protocol import TRACEPOINTS
from agentd.kernel.new_cgroups import MadeCgroups
from agentd.kernel.transport import open_transport, room_stage
from agentd.kernel.wire_header import read_wire
from agentd.metrics.snapshot import ProgramCost

UNKNOWN_KIND = "unknown"
"""Of a loss that may be of any kind."""


class Capture:
    """Takes over the fds. The programs run until ``detach``.

    ``progress_fd``: the ledger of a process that had them before. ``position``: how far that one
    came, if it ended as planned; of other programs it says nothing of these.
    """

    def __init__(
        self,
        attached: Attached,
        limits: Limits,
        redact: Redact = redact_nothing,
        *,
        hold_until_seeded: bool = False,
        progress_fd: int | None = None,
        position: Progress | None = None,
    ) -> None:
        self.wire = read_wire()
        handover, settings = attached.handover, attached.settings
        self._link_fds = handover.link_fds
        self._program_fds = handover.program_fds
        self.transport_kind = handover.transport
        kinds = self.wire.constant("AGENTD_KINDS")
        self.counters = Counters(
            handover.counters_fd,
            self.wire.layout("agentd_counters"),
            settings.cpus,
            kinds,
        )
        self.cgroups = MadeCgroups(handover.cgroups_fd, self.wire)
        size = settings.cpus, len(causes(kinds, room_stage(handover)))
        self.ledger, progress, self.checkpoint_damaged = open_ledger(progress_fd, *size)
        """How far the stream has been handed on; and whether that could not be read."""
        if progress_fd is not None and position is not None:
            progress, self.checkpoint_damaged = position, False
        elif self.checkpoint_damaged:
            progress = self._recovered(attached)
        before, before_ns = self.counters.read(), clock.boottime_ns()
        self.transport = open_transport(handover, settings.ring_bytes, settings.perf_bytes_per_cpu)
        self.pipeline = Pipeline(
            self.wire,
            settings.cpus,
            limits,
            clock.TICK_NS,
            room_stage=room_stage(handover),
            redact=redact,
            hold_until_seeded=hold_until_seeded,
            filtered=settings.cgroup is not None,
            first_seq=settings.first_seq,
        )
        self.untold = untold_by(progress) if progress is not None else []
        """What another process had dropped, and died before it could tell."""
        if progress is not None and self.transport.survives_its_reader:
            self.pipeline.resume(progress)
        elif progress is not None:
            self.pipeline.resume_without_buffer(progress, before, before_ns)

    def _recovered(self, attached: Attached) -> Progress:
        """Where to go on when the checkpoint is damaged."""
        handover, settings = attached.handover, attached.settings
        is_ring = handover.transport != PERFBUF
        ring = (handover.events_fd, settings.ring_bytes) if is_ring else None
        progress = recover(self.counters, ring, Decoder(self.wire, settings.cpus))
        return replace(progress, skipped=self.skipped_runs())

    def lost(self) -> int:
        """Events that were missed, for any cause."""
        return sum(self.lost_by_stage().values())

    def lost_by_stage(self) -> dict[str, int]:
        """The same by the stage that lost them (``core.loss.stages``); those that lost none not."""
        pipeline = self.pipeline
        lost = Counter(
            {
                STAGE_SKIPPED: sum(pipeline.skipped),
                STAGE_DECODE: pipeline.decoder.errors,
                STAGE_RESTART: pipeline.lost_at_restart,
            }
        )
        for cause, failures in zip(pipeline.causes, self.counters.read().failures, strict=True):
            lost[cause.stage] += sum(failures)
        return dict(+lost)

    def losses(
        self, kernel: KernelCounters, names: tuple[str, ...]
    ) -> tuple[tuple[str, str, int], ...]:
        """Stage, kind and count of each loss that there can be. ``names``: of the kinds."""
        pipeline = self.pipeline
        failed = zip(pipeline.causes, kernel.failures, strict=True)
        skipped = zip(names, pipeline.skipped, strict=True)
        return (
            *((cause.stage, names[cause.kind], sum(failures)) for cause, failures in failed),
            *((STAGE_SKIPPED, name, count) for name, count in skipped),
            (STAGE_DECODE, UNKNOWN_KIND, pipeline.decoder.errors),
            (STAGE_RESTART, UNKNOWN_KIND, pipeline.lost_at_restart),
        )

    def forks_seen(self) -> int:
        """Forks that the programs saw, of processes and threads."""
        kernel = self.counters.read()
        return sum(kernel.attempts[self.wire.constant("AGENTD_FORK")]) + sum(kernel.threads)

    def exits_filtered(self) -> int:
        """Exits that the filter left out."""
        return sum(self.counters.read().filtered[self.wire.constant("AGENTD_EXIT")])

    def program_costs(self) -> tuple[ProgramCost, ...]:
        """What the kernel counted of the programs."""
        return tuple(
            ProgramCost(tracepoint, *program_counts.program_counts(fd))
            for tracepoint, fd in zip(TRACEPOINTS, self._program_fds, strict=False)
        )

    def skipped_runs(self) -> tuple[int, ...]:
        """Runs of the programs that the kernel left out, in the order of kinds."""
        return tuple(cost.skipped for cost in self.program_costs())

    def detach(self) -> None:
        """Let the programs run no more; what they wrote can still be read."""
        for fd in self._link_fds:
            os.close(fd)
        self._link_fds = ()

    def _let_programs_go(self) -> None:
        for fd in self._program_fds:
            os.close(fd)
        self._program_fds = ()

    def close(self) -> None:
        """Let go of everything."""
        self.detach()
        self._let_programs_go()
        self.transport.close()
        self.counters.close()
        self.cgroups.close()
        self.ledger.close()
