"""Runs of our programs that the kernel left out, found by looking at its count of them.

A program does not run while another run of it is not over on the same CPU (``prog->active``,
kernel/trace/bpf_trace.c). Where the kernel preempts tracing programs, as 7.2 does and 6.18 does
not, that happens when two processes fork, exec or exit at one moment. Such a run takes no number,
so no gap shows it; but it is counted (``recursion_misses`` of bpf_prog_show_fdinfo,
kernel/bpf/syscall.c).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from agentd.core.pipeline import Pipeline
from agentd.core.steps import Journal, Skipped
from agentd.host import clock

LOOK_SECONDS = 1.0
"""After a round, and so at most that often; an idle host is left alone."""


class Programs(Protocol):
    """Programs and what they tell to."""

    @property
    def pipeline(self) -> Pipeline:
        """Of their events."""

    def skipped_runs(self) -> tuple[int, ...]:
        """How many runs were left out so far, by kind."""


class Skipping:
    """Tells the pipeline. ``wake`` makes a round."""

    def __init__(self, programs: Programs, wake: Callable[[], None], journal: Journal) -> None:
        self._pipeline = programs.pipeline
        self._read = programs.skipped_runs
        self._wake = wake
        self._journal = journal
        self._looked_ns = clock.boottime_ns()
        self._looking: asyncio.TimerHandle | None = None

    def after_round(self) -> None:
        """Look a moment later, unless that is going to happen anyway."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._later)

    def look(self) -> bool:
        """Whether something was left out since the last look."""
        now_ns, before_ns = clock.boottime_ns(), self._looked_ns
        told = self._pipeline.skipped
        try:
            counts = self._read()
        except OSError:  # no descriptor is left, or no memory: the next look sees it, too
            return False
        new = tuple(count - old for count, old in zip(counts, told, strict=False))
        self._looked_ns = now_ns
        if not any(new):
            return False
        self._journal(Skipped(new, before_ns, now_ns))
        self._pipeline.skip(new, before_ns, now_ns)
        return True

    def _later(self) -> None:
        self._looking = None
        if self.look():
            self._wake()
