"""Results as an experiment would have them."""

from __future__ import annotations

from agentd.experiment.report import Report
from agentd.experiment.run import Outcome, Plan
from agentd.experiment.throughput import Throughput


def outcome(transport: str, *, reorders: bool, lost_events: int = 0) -> Outcome:
    """A run of 1,000 commands in half a second."""
    return Outcome(
        plan=Plan(transport, reorders, 1 << 22, 1000),
        load_seconds=0.5,
        made_events=3002,
        delivered_events=3002 - lost_events,
        lost_events=lost_events,
        account_is_exact=lost_events != 7,
        inversions_before=11,
        inversions_after=0 if reorders else 11,
        displaced_before=1234,
        displaced_after=0 if reorders else 1234,
        broken_links_before=5,
        broken_links_after=0 if reorders else 5,
        late_events=0,
        latency_p50_ms=20.04,
        latency_p99_ms=99.96,
        cpu_us_per_event=5.25,
        wakeups=42,
        buffer_bytes=1 << 22,
    )


def report() -> Report:
    """Two runs and four rates."""
    rates = [
        Throughput(transport, size, 1 << 22, 1e6 * size, 0.0)
        for transport in ("perfbuf", "ringbuf")
        for size in (16, 1024)
    ]
    runs = [outcome("perfbuf", reorders=False), outcome("ringbuf", reorders=True, lost_events=7)]
    return Report(runs, rates)
