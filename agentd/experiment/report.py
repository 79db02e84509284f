"""The results as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from agentd import __version__
from agentd.experiment.run import Outcome
from agentd.experiment.throughput import Throughput
from agentd.host import system


@dataclass(frozen=True, slots=True)
class Report:
    """All that an experiment found."""

    outcomes: list[Outcome]
    throughputs: list[Throughput]

    def to_json(self) -> str:
        """One object, with the facts of the host that the figures depend on."""
        machine = {
            "agentd": __version__,
            "kernel": platform.release(),
            "machine": platform.machine(),
            "online_cpus": len(system.online_cpus()),
        }
        runs = [asdict(outcome) for outcome in self.outcomes]
        rates = [asdict(throughput) for throughput in self.throughputs]
        return json.dumps({"host": machine, "runs": runs, "throughput": rates}, indent=1) + "\n"

    def to_text(self) -> str:
        """Two tables in Markdown, aligned."""
        return (
            "What 10,000 short commands look like through each transport.\n\n".replace(
                "10,000", f"{self.outcomes[0].plan.commands:,}"
            )
            + _table(_run_rows(self.outcomes))
            + "\nA program that only produces, a reader that only drains.\n\n"
            + _table(_throughput_rows(self.throughputs))
        )


def run_name(outcome: Outcome) -> str:
    """What a column or a bar is called."""
    order = "" if outcome.plan.reorders else ", unordered"
    return f"{outcome.plan.transport}{order}, {bytes_text(outcome.buffer_bytes)}"


def bytes_text(number: int) -> str:
    """With the largest binary unit that divides it."""
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number % size == 0:
            return f"{number // size} {unit}"
    return f"{number} B"


_FIGURES: tuple[tuple[str, Callable[[Outcome], Any]], ...] = (
    ("commands/s", lambda o: f"{o.plan.commands / o.load_seconds:,.0f}"),
    ("events made", lambda o: f"{o.made_events:,}"),
    ("events delivered", lambda o: f"{o.delivered_events:,}"),
    ("events lost", lambda o: f"{o.lost_events:,}"),
    ("account exact", lambda o: "yes" if o.account_is_exact else "NO"),
    ("inversions before", lambda o: f"{o.inversions_before:,}"),
    ("inversions after", lambda o: f"{o.inversions_after:,}"),
    ("events behind a younger one, before", lambda o: f"{o.displaced_before:,}"),
    ("events behind a younger one, after", lambda o: f"{o.displaced_after:,}"),
    ("broken links in the tree, before", lambda o: f"{o.broken_links_before:,}"),
    ("broken links in the tree, after", lambda o: f"{o.broken_links_after:,}"),
    ("late events", lambda o: f"{o.late_events:,}"),
    ("latency p50, ms", lambda o: f"{o.latency_p50_ms:.1f}"),
    ("latency p99, ms", lambda o: f"{o.latency_p99_ms:.1f}"),
    ("agentd CPU an event, µs", lambda o: f"{o.cpu_us_per_event:.1f}"),
    ("wake-ups", lambda o: f"{o.wakeups:,}"),
)


def _run_rows(outcomes: list[Outcome]) -> list[list[str]]:
    head = ["", *map(run_name, outcomes)]
    return [head, *([name, *map(figure, outcomes)] for name, figure in _FIGURES)]


def _throughput_rows(throughputs: list[Throughput]) -> list[list[str]]:
    head = ["transport", "record, bytes", "delivered/s", "found no room/s"]
    return [
        head,
        *(
            [
                each.transport,
                f"{each.record_bytes:,}",
                f"{each.delivered_per_s:,.0f}",
                f"{each.dropped_per_s:,.0f}",
            ]
            for each in throughputs
        ),
    ]


def _table(rows: list[list[str]]) -> str:
    """Rows, the first one the heading; the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        + " |"
        for row in rows
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines) + "\n"
