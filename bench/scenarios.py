"""The scenarios: what is run, in which order."""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from figures import FirstEventFigures, IdleFigures, LoadFigures, LoadRun, Reading
from load import KINDS, Cgroup, LoadPlan, LoadReport, running_load
from observe import BenchError, cpu_ns, peak_rss_mib, rss_mib, wakeups
from subject import Agentd, running_agentd

if TYPE_CHECKING:
    from pathlib import Path

CALM_S = 1.0
"""Between readiness and the measurement: what is left of the start is not to be billed."""
SETTLE_POLL_S = 1.1
"""Metrics of one second are the same for all who ask."""
SETTLE_LIMIT_S = 6.0
FIRST_EVENT_STARTS = 3
FIRST_EVENT_LIMIT_S = 60.0
FIRST_EVENT_LOAD = LoadPlan("fork-exec", rate_per_s=200, seconds=2 * FIRST_EVENT_LIMIT_S)


@dataclass(frozen=True)
class Bench:
    """What all scenarios of a run have in common."""

    agentd: Path
    loadgen: Path
    cgroup: Cgroup
    settings: tuple[str, ...]


def settle(agentd: Agentd) -> Reading:
    """Wait until agentd has seen what there is to see, for a bounded time."""
    deadline_s = time.monotonic() + SETTLE_LIMIT_S
    before = Reading.of(agentd)
    while True:
        time.sleep(SETTLE_POLL_S)
        now = Reading.of(agentd)
        if now.progress() == before.progress() or time.monotonic() > deadline_s:
            return now
        before = now


def run_load(bench: Bench, plan: LoadPlan) -> LoadReport:
    """Run a load to its end."""
    with running_load(bench.loadgen, bench.cgroup, plan) as load:
        return load.report()


@dataclass(frozen=True)
class LoadScenario:
    """agentd under a load."""

    plan: LoadPlan
    rest_s: float = 0.0
    """Between the load and the look at memory, given back within a minute."""

    def run(self, bench: Bench, seconds: float | None) -> LoadFigures:
        """Measure it."""
        plan = replace(self.plan, seconds=seconds or self.plan.seconds)
        with running_agentd(bench.agentd, bench.cgroup, bench.settings) as agentd:
            ready_s = agentd.wait_ready()
            time.sleep(CALM_S)
            before = Reading.of(agentd)
            report = run_load(bench, plan)
            ended_s = time.monotonic()
            after = settle(agentd)
            settle_s = time.monotonic() - ended_s
            time.sleep(self.rest_s)
            return LoadRun(ready_s, settle_s, report, before, after).figures(agentd)


@dataclass(frozen=True)
class IdleScenario:
    """agentd with nothing to do. It is not scraped meanwhile."""

    seconds: float

    def run(self, bench: Bench, seconds: float | None) -> IdleFigures:
        """Measure it."""
        with running_agentd(bench.agentd, bench.cgroup, bench.settings) as agentd:
            ready_s = agentd.wait_ready()
            time.sleep(CALM_S)
            cpu_before_ns, wakeups_before = cpu_ns(agentd.pid), wakeups(agentd.pid)
            started_s = time.monotonic()
            time.sleep(seconds or self.seconds)
            idle_s = time.monotonic() - started_s
            return IdleFigures(
                idle_s=idle_s,
                cpu_ms_per_s=(cpu_ns(agentd.pid) - cpu_before_ns) / 1e6 / idle_s,
                wakeups_per_s=(wakeups(agentd.pid) - wakeups_before) / idle_s,
                rss_mib=rss_mib(agentd.pid),
                peak_rss_mib=peak_rss_mib(agentd.pid),
                ready_s=ready_s,
            )


def is_event(line: bytes) -> bool:
    """Whether a line of agentd's output is a fork, an exec or an exit: its ``event.action``."""
    try:
        return json.loads(line)["event"]["action"] in KINDS
    except (ValueError, KeyError, TypeError):
        return False


def read_first_event(agentd: Agentd, output: int) -> float:
    """Read agentd's output up to the first event. Returns the seconds since its start."""
    pending = b""
    while True:
        left_s = agentd.started_s + FIRST_EVENT_LIMIT_S - time.monotonic()
        if left_s <= 0 or not select.select([output], [], [], left_s)[0]:
            raise agentd.failure(f"no event came in {FIRST_EVENT_LIMIT_S:.0f} s")
        chunk = os.read(output, 65536)
        elapsed_s = time.monotonic() - agentd.started_s
        if not chunk:
            raise agentd.failure("its output ended before the first event")
        *lines, pending = (pending + chunk).split(b"\n")
        if any(is_event(line) for line in lines):
            return elapsed_s


@dataclass(frozen=True)
class FirstEventScenario:
    """Starts of agentd while a load is already running."""

    def run(self, bench: Bench, seconds: float | None) -> FirstEventFigures:
        """Measure it; as it takes as long as it takes, ``seconds`` plays no part."""
        elapsed_s = [self._start(bench) for _ in range(FIRST_EVENT_STARTS)]
        return FirstEventFigures(
            starts_count=len(elapsed_s),
            first_event_median_s=statistics.median(elapsed_s),
            first_event_slowest_s=max(elapsed_s),
        )

    def _start(self, bench: Bench) -> float:
        """Start it once, under a load that outlives it."""
        pipe = subprocess.PIPE
        with (
            running_load(bench.loadgen, bench.cgroup, FIRST_EVENT_LOAD),
            running_agentd(bench.agentd, bench.cgroup, bench.settings, pipe) as agentd,
        ):
            if agentd.process.stdout is None:
                raise BenchError("agentd has no stdout")
            return read_first_event(agentd, agentd.process.stdout.fileno())


Scenario = LoadScenario | IdleScenario | FirstEventScenario

SCENARIOS: dict[str, Scenario] = {
    "quiet": LoadScenario(LoadPlan("fork-exec", rate_per_s=20, seconds=20.0)),
    "paced": LoadScenario(LoadPlan("fork-exec", rate_per_s=2000, seconds=30.0)),
    "flat": LoadScenario(LoadPlan("fork-exec", rate_per_s=0, seconds=10.0)),
    "flat-fork": LoadScenario(LoadPlan("fork-exit", rate_per_s=0, seconds=10.0)),
    "million": LoadScenario(LoadPlan("fork-exec", 0, seconds=600.0, count=1_000_000), rest_s=70.0),
    "idle": IdleScenario(seconds=20.0),
    "first-event": FirstEventScenario(),
}
