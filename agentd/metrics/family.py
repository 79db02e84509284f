"""Families of samples from plain numbers."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from agentd.core.histogram import Histogram


def labelled(
    family: CounterMetricFamily | GaugeMetricFamily, values: Iterable[tuple[str, float]]
) -> CounterMetricFamily | GaugeMetricFamily:
    """One series for each value of a family's only label."""
    for label, value in values:
        family.add_metric([label], value)
    return family


def histogram(name: str, text: str, times: Histogram) -> Metric:
    """Of durations, in seconds."""
    buckets: list[tuple[str, float]] = [
        (repr(bound_ns / 1e9), count)
        for bound_ns, count in zip(times.bounds_ns, times.counts, strict=True)
    ]
    buckets.append(("+Inf", times.count))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=times.sum_ns / 1e9)
