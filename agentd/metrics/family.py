"""Families of samples from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.samples import Exemplar

from agentd.core.histogram import Example, Histogram


def labelled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[str, float]]
) -> CounterMetricFamily | GaugeMetricFamily:
    """One series for each value of a family's only label."""
    for label, value in values:
        family.add_metric([label], value)
    return family


def histogram(name: str, text: str, times: Histogram, entity: str = "") -> Metric:
    """Of durations, in seconds. ``entity``: what the ids of examples begin with."""
    bounds = [*(repr(bound_ns / 1e9) for bound_ns in times.bounds_ns), "+Inf"]
    counts = [*times.counts, times.count]
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    for place, (bound, count) in enumerate(zip(bounds, counts, strict=True)):
        example = times.examples.get(place)
        buckets.append((bound, count, _exemplar(example, entity)) if example else (bound, count))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=times.sum_ns / 1e9)


def _exemplar(example: Example, entity: str) -> Exemplar:
    """In OpenMetrics, a duration with the process that it was of."""
    pid, start_ns = example.what
    labels = {"entity_id": f"{entity}-{pid}-{start_ns}"}
    return Exemplar(labels, example.duration_ns / 1e9, example.wall_ns / 1e9)
