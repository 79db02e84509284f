"""Families of samples, declared once each, and filled from plain numbers at a scrape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client import core
from prometheus_client.samples import Exemplar

from agentd.core.histogram import Example
from agentd.metrics.snapshot import Times

Metric: TypeAlias = core.Metric

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """What is known of a metric before a scrape. docs/metrics.md is made of it."""

    kind: str
    name: str
    """As OpenMetrics has it: of a counter without ``_total``."""
    help: str
    labels: tuple[str, ...] = ()
    more: str = ""
    """Of its meaning, for the page."""
    todo: str = ""
    """What to do about it, for the page."""

    @property
    def sample(self) -> str:
        """The name to ask Prometheus for."""
        return f"{self.name}_total" if self.kind == COUNTER else self.name

    def value(self, value: float) -> Metric:
        """The only series of a family without labels."""
        return self.series([((), value)])

    def by(self, values: Iterable[tuple[str, float]]) -> Metric:
        """One series for each value of the only label."""
        return self.series(((label,), value) for label, value in values)

    def series(self, values: Iterable[tuple[Sequence[str], float]]) -> Metric:
        """One series for each combination of the labels' values."""
        kind = core.CounterMetricFamily if self.kind == COUNTER else core.GaugeMetricFamily
        family = kind(self.name, self.help, labels=self.labels)
        for labels, value in values:
            family.add_metric(labels, value)
        return family

    def histogram(self, times: Times, entity: str = "") -> Metric:
        """Of durations, in seconds. ``entity``: what the ids of examples begin with; empty for no
        examples.
        """
        bounds = [*(repr(bound_ns / 1e9) for bound_ns in times.bounds_ns), "+Inf"]
        counts = [*times.counts, times.total]
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        for place, (bound, count) in enumerate(zip(bounds, counts, strict=True)):
            example = times.examples.get(place)
            buckets.append(
                (bound, count, _exemplar(example, entity)) if example and entity else (bound, count)
            )
        return core.HistogramMetricFamily(
            self.name, self.help, buckets=buckets, sum_value=times.sum_ns / 1e9
        )


def _exemplar(example: Example, entity: str) -> Exemplar:
    """In OpenMetrics, a duration with the process that it was of."""
    pid, start_ns = example.what
    labels = {"entity_id": f"{entity}-{pid}-{start_ns}"}
    return Exemplar(labels, example.duration_ns / 1e9, example.wall_ns / 1e9)
