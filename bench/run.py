#!/usr/bin/env python3
"""Run the benchmark of agentd: what it costs, and whether it missed anything. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from load import EX_UNAVAILABLE, own_cgroup
from observe import BenchError
from scenarios import SCENARIOS, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from figures import Figures

HERE = Path(__file__).resolve().parent
AGENTD = HERE.parent / ".venv/bin/agentd"
LOADGEN = HERE / "build/loadgen"


@dataclass(frozen=True)
class Outcome:
    """The figures by scenario, and what went wrong."""

    figures: dict[str, Figures]
    failures: list[str]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure what agentd costs and what it misses.")
    names = ", ".join(SCENARIOS)
    parser.add_argument("scenario", nargs="*", help=f"which of {names} (default: all)")
    parser.add_argument("--seconds", type=float, help="length of each timed scenario")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the data there as well")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="passed on to agentd run"
    )
    parser.add_argument("--agentd", type=Path, default=AGENTD, metavar="PATH", help="the program")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.scenario if name not in SCENARIOS]:
        parser.error(f"no scenario {unknown[0]}: choose from {names}")
    if arguments.seconds is not None and not 1 <= arguments.seconds <= 3600:
        parser.error("--seconds: from 1 to 3600")
    return arguments


def require(program: Path, remedy: str) -> None:
    """Refuse to begin without a program."""
    if not os.access(program, os.X_OK):
        raise BenchError(f"{program} is missing: {remedy}.", EX_UNAVAILABLE)


def broken_promises(results: dict[str, Figures]) -> list[str]:
    """What a benchmark must not pass over: an account that does not add up."""
    broken = []
    for scenario, figures in results.items():
        for name in ("unaccounted_events", "surplus_events", "imbalance_events"):
            if number := getattr(figures, name, 0):
                broken.append(f"{scenario}: {name} is {number:,}, not 0")
    return broken


def run_scenarios(bench: Bench, names: list[str], seconds: float | None) -> Outcome:
    """Run them one after the other; one that fails does not keep the next from its turn."""
    figures: dict[str, Figures] = {}
    failures: list[str] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            figures[name] = SCENARIOS[name].run(bench, seconds)
        except BenchError as error:
            failures.append(f"{name}: {error}")
    return Outcome(figures, failures + broken_promises(figures))


def measure(arguments: argparse.Namespace) -> Outcome:
    """Check that everything is there, then run what was asked for."""
    require(arguments.agentd, "install agentd into .venv first")
    require(LOADGEN, "run bench/build.sh first")
    with own_cgroup() as cgroup:
        bench = Bench(arguments.agentd, LOADGEN, cgroup, tuple(arguments.set))
        return run_scenarios(bench, arguments.scenario or list(SCENARIOS), arguments.seconds)


def host() -> dict[str, str | int]:
    """Where the figures were taken."""
    return {
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def rows(figures: Figures) -> Iterator[tuple[str, str]]:
    """The figures by name; those that come by kind get one row for each."""
    for name, value in asdict(figures).items():
        if isinstance(value, dict):
            yield from ((f"{key}_{name}", f"{number:,}") for key, number in value.items())
        else:
            yield name, f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def table(results: dict[str, Figures]) -> str:
    """A Markdown table: a row for each figure, a column for each scenario."""
    columns = {scenario: dict(rows(figures)) for scenario, figures in results.items()}
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    cells = [["figure", *columns]]
    cells += [[name, *(c.get(name, "") for c in columns.values())] for name in names]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(cells[0], widths), f"| {' | '.join(rule)} |"]
    return "\n".join(lines + [_line(row, widths) for row in cells[1:]])


def _line(row: list[str], widths: list[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(aligned)} |"


def write_json(path: Path, results: dict[str, Figures]) -> None:
    """Write the data."""
    data = {"host": host(), "scenarios": {name: asdict(f) for name, f in results.items()}}
    path.write_text(json.dumps(data, indent=2) + "\n")


def on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    """Leave by the way that ends what was started."""
    raise KeyboardInterrupt


def main() -> int:
    """Run, print, and return the exit code."""
    signal.signal(signal.SIGTERM, on_sigterm)
    arguments = parse_arguments()
    try:
        outcome = measure(arguments)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    if outcome.figures:
        print(table(outcome.figures))
    if arguments.json:
        write_json(arguments.json, outcome.figures)
    for failure in outcome.failures:
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
