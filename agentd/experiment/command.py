"""The command: which runs, in which order, and what becomes of the results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tqdm

from agentd.errors import ConfigError, UnavailableError
from agentd.experiment import plot
from agentd.experiment.load import own_cgroup
from agentd.experiment.report import Report
from agentd.experiment.run import Outcome, Plan, run
from agentd.experiment.throughput import Throughput
from agentd.host import system
from agentd.kernel.compile import PERFBUF, RINGBUF
from agentd.kernel.loader_process import check_capabilities
from agentd.terminal import stdout
from agentd.terminal.escape import printable_path

_WRITABLE = "a regular file, in a folder that exists"
MEMORY_BYTES = 4 << 20
SMALL_BYTES_PER_CPU = 1 << 13
RECORD_BYTES = (16, 64, 256, 1024, 4096)
THROUGHPUT_SECONDS = 1.0
"""Of each measurement; loading takes about half a second more."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    commands: int
    json_file: Path | None
    plot_file: Path | None


def bench_transport(options: Options) -> None:
    """Run the experiment, print its table, and write the files that were asked for."""
    check_capabilities()
    for file in filter(None, (options.json_file, options.plot_file)):
        _check_writable(file)
    if options.plot_file is not None:
        plot.check(options.plot_file)
    report = _report(options.commands)
    stdout.write(report.to_text())
    if options.json_file is not None:
        _write(options.json_file, lambda file: file.write_text(report.to_json()))
    if options.plot_file is not None:
        _write(options.plot_file, lambda file: plot.draw(report, file))


def _check_writable(file: Path) -> None:
    """Raise ConfigError now rather than in a minute."""
    is_other = file.exists() and not file.is_file()
    if is_other or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise ConfigError(f"{printable_path(file)}: cannot be written", _WRITABLE)


def _write(file: Path, write: Callable[[Path], object]) -> None:
    try:
        write(file)
    except OSError as error:
        problem = error.strerror or str(error)
        raise ConfigError(
            f"{printable_path(file)}: cannot be written: {problem}", _WRITABLE
        ) from None


def plans(commands: int) -> list[Plan]:
    """Each transport with the same memory, then with less than it needs."""
    small_bytes = 1 << (SMALL_BYTES_PER_CPU * len(system.online_cpus()) - 1).bit_length()
    return [
        Plan(transport, reorders, memory_bytes, commands)
        for memory_bytes in (MEMORY_BYTES, small_bytes)
        for transport, reorders in ((PERFBUF, False), (PERFBUF, True), (RINGBUF, True))
    ]


def _report(commands: int) -> Report:
    cases = [(transport, size) for transport in (PERFBUF, RINGBUF) for size in RECORD_BYTES]
    outcomes: list[Outcome] = []
    throughputs: list[Throughput] = []
    steps = plans(commands)
    with (
        own_cgroup() as cgroup,
        tqdm.tqdm(
            total=2 * len(steps) + len(cases), bar_format="{percentage:3.0f} % |{bar:30}| {desc}"
        ) as bar,
    ):
        for plan in steps:
            bar.set_description_str(f"{plan.transport}, {plan.commands:,} commands")
            outcomes.append(run(plan, cgroup))
            bar.update(2)
        for transport, size in cases:
            bar.set_description_str(f"{transport}, records of {size} bytes")
            throughputs.append(_throughput(transport, size))
            bar.update(1)
        bar.set_description_str("done")
    return Report(outcomes, throughputs)


def _throughput(transport: str, record_bytes: int) -> Throughput:
    """In a process of its own: it loads LLVM."""
    numbers = map(str, (record_bytes, MEMORY_BYTES, THROUGHPUT_SECONDS))
    command = [sys.executable, "-P", "-m", "agentd.experiment.throughput", transport, *numbers]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise UnavailableError(
            f"the throughput of {transport} could not be measured: "
            + (done.stderr.splitlines() or ["no reason was given"])[-1],
            "it needs BCC and a kernel that runs BPF programs on request (5.10)",
        )
    return Throughput(**json.loads(done.stdout))
