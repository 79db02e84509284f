"""The figures: what each one is, and how it is worked out. Each has its unit in its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from load import KINDS, LoadReport
from observe import Metrics, children_cpu_ns, cpu_ns, peak_rss_mib, rss_mib

if TYPE_CHECKING:
    from subject import Agentd


@dataclass(frozen=True)
class LoadFigures:
    """What agentd did with a load, and for how much."""

    load_s: float
    lifecycles_count: int
    lifecycles_per_s: float
    skipped_lifecycles_count: int
    """Of a paced load: what the machine could not make in time."""
    cpu_us_per_lifecycle: float
    cpu_percent_of_one_cpu: float
    children_cpu_ms: float
    rss_mib: float
    peak_rss_mib: float
    ready_s: float
    settle_s: float
    made_events: dict[str, int]
    emitted_events: dict[str, int]
    lost_events: int
    unaccounted_events: int
    """Made, but neither emitted nor counted as lost. Anything but 0 is a bug."""
    surplus_events: int
    """Emitted, but never made. Anything but 0 is a bug."""
    late_events: int
    imbalance_events: int
    inversions_events: dict[str, int]


@dataclass(frozen=True)
class IdleFigures:
    """What agentd costs while its cgroup is empty."""

    idle_s: float
    cpu_ms_per_s: float
    wakeups_per_s: float
    rss_mib: float
    peak_rss_mib: float
    ready_s: float


@dataclass(frozen=True)
class FirstEventFigures:
    """From the start of agentd to its first event on stdout."""

    starts_count: int
    first_event_median_s: float
    first_event_slowest_s: float


Figures = LoadFigures | IdleFigures | FirstEventFigures


@dataclass(frozen=True)
class Reading:
    """What can be read of agentd at one moment."""

    cpu_ns: int
    children_cpu_ns: int
    metrics: Metrics

    @classmethod
    def of(cls, agentd: Agentd) -> Reading:
        """Read now; the scrape itself is not in its own CPU time."""
        return cls(cpu_ns(agentd.pid), children_cpu_ns(agentd.pid), agentd.metrics())

    def progress(self) -> tuple[int, ...]:
        """The figures that still move while agentd works on a backlog."""
        names = ("agentd_events_total", "agentd_lost_events_total", "agentd_reorder_late_total")
        return tuple(self.metrics.total(name) for name in names)


@dataclass(frozen=True)
class Difference:
    """How far the counters went between two readings."""

    before: Metrics
    after: Metrics

    def total(self, name: str, **labels: str) -> int:
        """Of one metric."""
        return self.after.total(name, **labels) - self.before.total(name, **labels)

    def events(self) -> dict[str, int]:
        """Events emitted, by kind."""
        return {kind: self.total("agentd_events_total", kind=kind) for kind in KINDS}

    def inversions(self) -> dict[str, int]:
        """Neighbours in the wrong order, before and after reordering."""
        name = "agentd_reorder_inversions_total"
        sides = self.after.by_label(name, "side")
        return {side: self.total(name, side=side) for side in sides}


@dataclass(frozen=True)
class LoadRun:
    """What was seen of agentd and of the load, for the figures to be made from."""

    ready_s: float
    settle_s: float
    report: LoadReport
    before: Reading
    after: Reading

    def figures(self, agentd: Agentd) -> LoadFigures:
        """Put the generator's truth beside agentd's account."""
        report, before, after = self.report, self.before, self.after
        cpu_us = (after.cpu_ns - before.cpu_ns) / 1e3
        change = Difference(before.metrics, after.metrics)
        made, emitted = report.events(), change.events()
        missing = {kind: made[kind] - emitted[kind] for kind in KINDS}
        lost = change.total("agentd_lost_events_total")
        return LoadFigures(
            load_s=report.seconds,
            lifecycles_count=report.exits,
            lifecycles_per_s=report.per_second,
            skipped_lifecycles_count=report.skipped,
            cpu_us_per_lifecycle=cpu_us / max(report.exits, 1),
            cpu_percent_of_one_cpu=cpu_us / 1e4 / report.seconds,
            children_cpu_ms=(after.children_cpu_ns - before.children_cpu_ns) / 1e6,
            rss_mib=rss_mib(agentd.pid),
            peak_rss_mib=peak_rss_mib(agentd.pid),
            ready_s=self.ready_s,
            settle_s=self.settle_s,
            made_events=made,
            emitted_events=emitted,
            lost_events=lost,
            unaccounted_events=sum(n for n in missing.values() if n > 0) - lost,
            surplus_events=-sum(n for n in missing.values() if n < 0),
            late_events=change.total("agentd_reorder_late_total"),
            imbalance_events=after.metrics.total("agentd_accounting_imbalance"),
            inversions_events=change.inversions(),
        )
