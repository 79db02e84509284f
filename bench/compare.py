#!/usr/bin/env python3
"""agentd and other tools, side by side on the same work, in one run. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from load import Cgroup, LoadPlan, LoadReport, own_cgroup, running_load
from observe import BenchError, Metrics, children_cpu_ns, cpu_ns, peak_rss_mib
from peers import AGENTD, PEERS, Peer
from run import host
from subject import running_agentd

LOADGEN = Path(__file__).resolve().parent / "build/loadgen"
LOADS = {
    "20/s": LoadPlan("fork-exec", rate_per_s=20, seconds=10.0),
    "500/s": LoadPlan("fork-exec", rate_per_s=500, seconds=8.0),
    "2,000/s": LoadPlan("fork-exec", rate_per_s=2000, seconds=8.0),
    "flat out": LoadPlan("fork-exec", rate_per_s=0, seconds=6.0),
}
IDLE_S = 5.0
SETTLE_S = 2.0
STOP_S = 20.0
FIRST_EVENT_LIMIT_S = 30.0
NOBODY = "nobody"
"""The load without any tool."""

# what reads tracepoints by their number needs tracefs, which may not be mounted
_OWN_MOUNTS = (
    'mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; exec "$@"'
)


@dataclass(frozen=True)
class Run:
    """One tool under one load, once."""

    lifecycles_per_s: float
    cpu_us_per_lifecycle: float = 0.0
    """The tool's, user and system, all its processes, without what it costs when idle."""
    idle_cpu_ms_per_s: float = 0.0
    peak_rss_mib: float = 0.0
    lost_events: int = 0
    """Made and not told, of the kinds that it tells of; those of others may hide some."""


@contextmanager
def running(peer: Peer, cgroup: Cgroup, folder: Path, *, by_line: bool = False) -> Iterator[_Tool]:
    """A tool that runs, and is asked to end."""
    outputs, processes = [], []
    for number, command in enumerate(peer.commands(cgroup)):
        outputs.append(folder / f"{number}.out")
        words = [*(peer.by_line if by_line else ()), *command]
        with outputs[-1].open("wb") as out, (folder / f"{number}.err").open("wb") as err:
            processes.append(
                subprocess.Popen(
                    ["unshare", "-m", "sh", "-c", _OWN_MOUNTS, "sh", *words],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0,
                )
            )  # fmt: skip
    try:
        yield _Tool(peer, outputs, processes)
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class _Tool:
    peer: Peer
    outputs: list[Path]
    processes: list[subprocess.Popen[bytes]]

    def cpu_ns(self) -> int:
        """What its processes and their children have taken."""
        self.check()
        return sum(cpu_ns(p.pid) + children_cpu_ns(p.pid) for p in self.processes)

    def peak_rss_mib(self) -> float:
        """Of all its processes."""
        return sum(peak_rss_mib(process.pid) for process in self.processes)

    def check(self) -> None:
        """It still runs."""
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                said = self.outputs[number].with_suffix(".err").read_text(errors="replace")
                raise BenchError(f"{self.peer.name} ended with {process.returncode}: {said[-300:]}")


def load(cgroup: Cgroup, plan: LoadPlan) -> LoadReport:
    """Make it, to its end."""
    with running_load(LOADGEN, cgroup, plan) as running_one:
        return running_one.report()


def measure(peer: Peer, cgroup: Cgroup, plan: LoadPlan) -> Run:
    """One tool under one load."""
    with tempfile.TemporaryDirectory() as name:
        with running(peer, cgroup, Path(name)) as tool:
            time.sleep(peer.ready_seconds)
            at_first_ns = tool.cpu_ns()
            time.sleep(IDLE_S)
            idle_ns_per_s = (tool.cpu_ns() - at_first_ns) / IDLE_S
            before_ns, begun = tool.cpu_ns(), time.monotonic()
            report = load(cgroup, plan)
            time.sleep(SETTLE_S)
            seconds = time.monotonic() - begun
            spent_ns = tool.cpu_ns() - before_ns - idle_ns_per_s * seconds
            peak_mib = tool.peak_rss_mib()
        told = peer.count(tool.outputs)
    made = report.events()
    return Run(
        report.per_second,
        max(0.0, spent_ns / 1e3 / report.forks),
        idle_ns_per_s / 1e6,
        peak_mib,
        sum(max(0, made[kind] - count) for kind, count in told.items()),
    )


def first_event_s(peer: Peer, cgroup: Cgroup) -> float:
    """From its start to the first event on its output, while something happens all the time."""
    plan = LoadPlan("fork-exec", rate_per_s=200, seconds=2 * FIRST_EVENT_LIMIT_S)
    with (
        running_load(LOADGEN, cgroup, plan),
        tempfile.TemporaryDirectory() as name,
    ):
        begun = time.monotonic()
        with running(peer, cgroup, Path(name), by_line=True) as tool:
            while not any(peer.count(tool.outputs).values()):
                tool.check()
                if time.monotonic() > begun + FIRST_EVENT_LIMIT_S:
                    raise BenchError(f"{peer.name} told of nothing")
                time.sleep(0.01)
            return time.monotonic() - begun


def kernel_ns_per_event(cgroup: Cgroup) -> float:
    """What agentd's programs take in the kernel, an event; counting it costs a little itself."""
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    plan = LOADS["2,000/s"]
    switch.write_text("1")
    try:
        with running_agentd(AGENTD, cgroup, ()) as agentd:
            agentd.wait_ready()
            begun = agentd.metrics()
            load(cgroup, plan)
            time.sleep(SETTLE_S)
            ended = agentd.metrics()
    finally:
        switch.write_text(before)

    def seconds(metrics: Metrics) -> float:
        return sum(s.value for s in metrics.samples if s.name == "agentd_program_seconds_total")

    events = ended.total("agentd_events_total") - begun.total("agentd_events_total")
    return 1e9 * (seconds(ended) - seconds(begun)) / events


def missing(peer: Peer) -> str:
    """The first that it needs and that is not there."""
    lacking = (name for name in peer.needs if not shutil.which(name) and not Path(name).exists())
    return next(lacking, "")


def run_all(rounds: int) -> tuple[dict[str, dict[str, list[Run]]], dict[str, list[float]]]:
    """Every tool under every load, in turns."""
    runs: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    first: dict[str, list[float]] = defaultdict(list)
    peers = [peer for peer in PEERS if not missing(peer)]
    for peer in PEERS:
        if peer not in peers:
            print(f"left out: {peer.name}, {missing(peer)} is not installed", file=sys.stderr)
    with own_cgroup() as cgroup:
        for number in range(rounds):
            for name, plan in LOADS.items():
                runs[NOBODY][name].append(Run(load(cgroup, plan).per_second))
                for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
                    print(f"{number + 1}/{rounds} {name} {peer.name}", file=sys.stderr, flush=True)
                    runs[peer.name][name].append(measure(peer, cgroup, plan))
            for peer in peers:
                first[peer.name].append(first_event_s(peer, cgroup))
    return runs, first


def _middle(values: list[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def table(runs: dict[str, dict[str, list[Run]]], first: dict[str, list[float]]) -> str:
    """Medians, and in brackets the least and the greatest."""
    rows = [["", *(name for name in runs if name != NOBODY)]]
    tools = rows[0][1:]

    def row(title: str, load_name: str, attribute: str, form: str) -> None:
        values = [[getattr(run, attribute) for run in runs[tool][load_name]] for tool in tools]
        rows.append([title, *(_middle(of_tool, form) for of_tool in values)])

    for name in LOADS:
        row(f"CPU µs a lifecycle, {name}", name, "cpu_us_per_lifecycle", ".1f")
    row("lost events, flat out", "flat out", "lost_events", ",.0f")
    slow = []
    for tool in tools:
        pairs = zip(runs[NOBODY]["flat out"], runs[tool]["flat out"], strict=True)
        slow.append(
            [100 * (1 - one.lifecycles_per_s / none.lifecycles_per_s) for none, one in pairs]
        )
    rows.append(["workload slower by %, flat out", *(_middle(values, ".0f") for values in slow)])
    row("peak memory MiB, flat out", "flat out", "peak_rss_mib", ".0f")
    row("idle CPU ms a second", "500/s", "idle_cpu_ms_per_s", ".2f")
    rows.append(["first event s", *(_middle(first[tool], ".2f") for tool in tools)])
    rows.append(["delivers", *(peer.delivers for peer in PEERS if peer.name in tools)])
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|---" + "|---:" * len(tools) + "|", *lines[1:]])


def plot(path: Path, runs: dict[str, dict[str, list[Run]]]) -> None:
    """The CPU a lifecycle, as a picture."""
    import matplotlib  # noqa: PLC0415

    matplotlib.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    tools = [tool for tool in runs if tool != NOBODY]
    figure, axes = pyplot.subplots(figsize=(8, 4))
    for place, tool in enumerate(tools):
        medians = [
            statistics.median(run.cpu_us_per_lifecycle for run in runs[tool][name])
            for name in LOADS
        ]
        places = [x + 0.8 * place / len(tools) for x in range(len(LOADS))]
        axes.bar(places, medians, width=0.75 / len(tools), label=tool)
    axes.set_xticks([x + 0.3 for x in range(len(LOADS))], list(LOADS))
    axes.set_ylabel("CPU µs a lifecycle")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="agentd and others on the same work.")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the data there as well")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the CPU there")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("compare: needs root", file=sys.stderr)
        return os.EX_NOPERM
    try:
        runs, first = run_all(arguments.rounds)
        with own_cgroup() as cgroup:
            kernel_ns = kernel_ns_per_event(cgroup)
    except BenchError as error:
        print(f"compare: {error}", file=sys.stderr)
        return error.exit_code
    print(table(runs, first))
    print(f"\nagentd's programs in the kernel: {kernel_ns:.0f} ns an event")
    if arguments.json:
        plain = {t: {n: [asdict(r) for r in rs] for n, rs in of.items()} for t, of in runs.items()}
        data = {"host": host(), "runs": plain, "first_event_s": first, "kernel_ns": kernel_ns}
        arguments.json.write_text(json.dumps(data, indent=2) + "\n")
    if arguments.plot:
        plot(arguments.plot, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
