"""One run: a load, traced over one transport with one buffer, through agentd's own rounds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import time
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import quantiles

import uvloop

from agentd.config.schema import Config
from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.order.reorder import Unordered
from agentd.core.pipeline import Limits
from agentd.core.steps import Round, Step
from agentd.core.tree.process import Applied
from agentd.core.tree.tree import Tree, TreeLimits
from agentd.core.wire.delivery import Delivery
from agentd.core.wire.events import Event, Lost
from agentd.daemon.batch_delay import Pace
from agentd.daemon.capture import Capture
from agentd.daemon.loop import Rounds
from agentd.experiment.load import Load
from agentd.helpers import cgroup_paths
from agentd.host import cgroups, clock, procfs, system
from agentd.kernel.compile import Settings
from agentd.kernel.loader_client import Attached, Loader
from agentd.sinks.fanout import Fanout
from agentd.sinks.render.ecs import EcsRenderer

CAPACITY = 1 << 20
"""Of queue and tree: more than any run has events."""
SETTLE_SECONDS = 3.0
"""A safety net for what is over in a round or two."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    transport: str
    reorders: bool
    memory_bytes: int
    """Of all buffers together."""
    commands: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    plan: Plan
    load_seconds: float
    made_events: int
    delivered_events: int
    lost_events: int
    account_is_exact: bool
    inversions_before: int
    """Neighbours in the wrong order."""
    inversions_after: int
    displaced_before: int
    """Events that came after a younger one."""
    displaced_after: int
    broken_links_before: int
    broken_links_after: int
    late_events: int
    latency_p50_ms: float
    latency_p99_ms: float
    cpu_us_per_event: float
    wakeups: int
    buffer_bytes: int


def _no_name(number: int) -> str:
    """Names cost the same on either transport."""
    return str(number)


class _Tracer:
    """agentd's parts around one transport."""

    def __init__(self, attached: Attached, plan: Plan) -> None:
        bounds = TreeLimits(
            CAPACITY, CAPACITY, CAPACITY, exited_age_ns=1 << 62, text_bytes=CAPACITY * 1024
        )
        limits = Limits(CAPACITY, Config().reorder.slack_us * 1000, bounds)
        self.capture = Capture(attached, limits)
        self.pipeline = self.capture.pipeline
        wire = self.capture.wire
        if not plan.reorders:
            self.pipeline.reorderer = Unordered()
        self.raw_tree = Tree(bounds, clock.TICK_NS)
        for seed in (self.pipeline.seed, self.raw_tree.seed):
            begun_ns = clock.boottime_ns()
            seed(procfs.scan(), begun_ns)
        self.delivered: list[Delivery] = []
        self.stamps_ns: list[int] = []
        self.latencies_ns: list[int] = []
        self.lost_events = 0
        self._renderer = EcsRenderer(
            wire,
            system.boot_id(),
            system.PAGE_BYTES,
            Names(cgroup_paths.CgroupPaths().path, _no_name, _no_name),
        )
        transport = Config().transport
        self.rounds = Rounds(
            self.capture.transport,
            self.capture.counters.read,
            self.pipeline,
            Fanout([]),
            pace=Pace(transport.batch_delay_ms / 1e3, transport.batch_delay_max_ms / 1e3),
            round_bytes=transport.round_bytes,
            handed_on=self._note,
            journal=self._keep,
        )

    def raw(self) -> list[Event]:
        """All events, in the order in which they came."""
        decode = self.pipeline.decoder.decode
        return [event for one in self.delivered for event in decode(one.data, one.spans)]

    def _keep(self, step: Step) -> None:
        if isinstance(step, Round):
            self.delivered.append(step.delivery)

    def _note(self, batch: Batch) -> None:
        self._renderer.render(batch)
        now_ns = clock.boottime_ns()
        events = [entry for entry in batch.entries if isinstance(entry, Applied)]
        self.lost_events += sum(e.missing for e in batch.entries if isinstance(e, Lost))
        stamps_ns = [entry[0][0] for entry in events]
        self.stamps_ns += stamps_ns
        self.latencies_ns += [now_ns - stamp_ns for stamp_ns in stamps_ns]

    def settled(self) -> bool:
        """Whether all that was attempted has come out or is told as lost."""
        kernel = self.capture.counters.read()
        out = self.pipeline.emitted_total + self.lost_events
        return out == kernel.attempts_total and not self.pipeline.waiting(kernel)


def run(plan: Plan, cgroup: Path) -> Outcome:
    """Run a plan in a cgroup. Raises what loading may raise."""
    settings = _settings(plan, cgroup)
    load = Load(cgroup, len(os.sched_getaffinity(0)), plan.commands)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(plan, settings, load))
    finally:
        load.close()


def _settings(plan: Plan, cgroup: Path) -> Settings:
    path = str(cgroup.relative_to(cgroups.cgroup2_mount()))
    return Settings(
        cpus=system.possible_cpus(),
        page_bytes=system.PAGE_BYTES,
        cgroup=cgroups.find_filter(path),
        transport=plan.transport,
        ring_bytes=plan.memory_bytes,
        perf_bytes_per_cpu=_power_of_two(plan.memory_bytes // len(system.online_cpus())),
    )


def _power_of_two(size_bytes: int) -> int:
    """The largest size not above that which the kernel takes."""
    return max(system.PAGE_BYTES, 1 << (size_bytes.bit_length() - 1))


async def _run(plan: Plan, settings: Settings, load: Load) -> Outcome:
    loader = Loader(settings)
    try:
        tracer = _Tracer(await loader.attached(), plan)
        loader.dismiss()
    finally:
        loader.close()
    try:
        return await _measure(plan, tracer, load)
    finally:
        tracer.capture.close()


async def _measure(plan: Plan, tracer: _Tracer, load: Load) -> Outcome:
    gc.collect()
    task = asyncio.create_task(tracer.rounds.run())
    start, cpu_ns, switches = time.monotonic(), time.process_time_ns(), _switches()
    load.go()
    await asyncio.get_running_loop().run_in_executor(None, load.wait)
    seconds = time.monotonic() - start
    deadline = time.monotonic() + SETTLE_SECONDS
    while not tracer.settled() and time.monotonic() < deadline and not task.done():
        await asyncio.sleep(0.05)
    cpu_ns, switches = time.process_time_ns() - cpu_ns, _switches() - switches
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await tracer.rounds.finish()
    return _outcome(plan, tracer, load.events, seconds, (cpu_ns, switches))


def _switches() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def _outcome(
    plan: Plan, tracer: _Tracer, made_events: int, seconds: float, cost: tuple[int, int]
) -> Outcome:
    pipeline, reorderer, raw = tracer.pipeline, tracer.pipeline.reorderer, tracer.raw()
    for event in raw:
        tracer.raw_tree.apply(event)
    delivered = pipeline.emitted_total
    attempts = tracer.capture.counters.read().attempts_total
    percent = quantiles(tracer.latencies_ns, n=100) if delivered > 1 else [0.0] * 99
    return Outcome(
        plan=plan,
        load_seconds=seconds,
        made_events=made_events,
        delivered_events=delivered,
        lost_events=tracer.lost_events,
        account_is_exact=(
            made_events == attempts == delivered + tracer.lost_events
            and pipeline.losses.repeated_total == pipeline.decoder.errors == 0
        ),
        inversions_before=reorderer.inversions_in_total,
        inversions_after=reorderer.inversions_out_total,
        displaced_before=_displaced([event.boottime_ns for event in raw]),
        displaced_after=_displaced(tracer.stamps_ns),
        broken_links_before=sum(tracer.raw_tree.misses.values()),
        broken_links_after=sum(pipeline.tree.misses.values()),
        late_events=reorderer.late_total,
        latency_p50_ms=percent[49] / 1e6,
        latency_p99_ms=percent[98] / 1e6,
        cpu_us_per_event=cost[0] / 1e3 / max(1, delivered),
        wakeups=cost[1],
        buffer_bytes=tracer.capture.transport.size_bytes,
    )


def _displaced(stamps_ns: list[int]) -> int:
    """How many are smaller than one before them."""
    youngest = accumulate(stamps_ns, max)
    return sum(stamp < most for stamp, most in zip(stamps_ns, youngest, strict=True))
