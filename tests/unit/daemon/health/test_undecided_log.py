"""agentd.daemon.health.undecided_log"""

from __future__ import annotations

from typing import Any

from agentd.daemon.health.undecided_log import EVERY_NS, UndecidedWarnings


class _Log:
    """Remembers the lines."""

    def __init__(self) -> None:
        self.counts: list[dict[str, int]] = []

    def warning(self, event: str, **fields: Any) -> None:
        """A line."""
        self.counts.append(fields["counts"])


def test_one_line_a_minute() -> None:
    """The first at once, then what came since, when a minute is over; none without news."""
    totals, log, now_ns = {"output.filter": 0, "redact.patterns": 0}, _Log(), EVERY_NS
    warnings = UndecidedWarnings(totals, log, lambda: now_ns)
    warnings.after_round()
    assert log.counts == []
    for _ in range(3):
        totals["output.filter"] += 1
        warnings.after_round()
    assert log.counts == [{"output.filter": 1}]
    now_ns += EVERY_NS
    totals["redact.patterns"] += 5
    warnings.after_round()
    now_ns += EVERY_NS
    warnings.after_round()
    assert log.counts == [{"output.filter": 1}, {"output.filter": 2, "redact.patterns": 5}]
