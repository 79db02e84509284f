#!/usr/bin/env python3
"""What an event costs on larger hosts: with more live processes, and from more CPUs. Simulated.

``python3 bench/growth.py``, as root, after ``bench/build.sh``: records a load as ``replay.py``
does, gives each of its processes one of the live ones for a parent and each of its events one of
the CPUs, both at random, and plays that.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from replay import Player, record  # noqa: E402

from agentd.core.loss.tracker import KernelCounters  # noqa: E402
from agentd.core.steps import Round, Seed  # noqa: E402
from agentd.core.tree.process import Image, Key, Process  # noqa: E402
from agentd.core.wire.delivery import Delivery  # noqa: E402
from agentd.core.wire.events import Fork  # noqa: E402
from agentd.kernel.wire_header import read_wire  # noqa: E402

SECONDS = 5.0
PROCESSES = (100, 1_000, 10_000, 100_000)
CPUS = (2, 8, 32, 128)
FEW_PROCESSES, FEW_CPUS = PROCESSES[0], CPUS[0]
FIRST_TGID = 1 << 22
"""The largest pid there is: none of the recording's."""
CAUSES = 6


def crowd(count: int) -> list[Process]:
    """So many live processes, each with a command line of its own."""
    return [
        Process(
            (FIRST_TGID + number, 1 + number), (0, 0),
            Image(b"crowd", b"/usr/bin/crowd", b"crowd\0%d\0" % number, 2), executed=True,
        )
        for number in range(count)
    ]  # fmt: skip


class Larger:
    """Rewrites a recording's rounds for a larger host."""

    def __init__(self, processes: list[Process], cpus: int) -> None:
        self._keys = [process.key for process in processes]
        self._cpus = cpus
        self._random = random.Random(0)
        self._parents: dict[Key, Key] = {}
        self._attempts = Counter[tuple[int, int]]()
        self._seq = [0] * cpus
        self._header = read_wire().layout("agentd_fork").compile()

    def round(self, step: Round) -> Round:
        """The same events, at the same moments."""
        data = bytearray(step.delivery.data)
        for offset, _ in step.delivery.spans:
            self._rewrite(data, offset)
        counters = self._counters()
        delivery = Delivery(bytes(data), step.delivery.spans, drained=True)
        return replace(step, before=counters, delivery=delivery, after=counters)

    def _rewrite(self, data: bytearray, offset: int) -> None:
        event = Fork._make(self._header.unpack_from(data, offset))
        cpu = self._random.randrange(self._cpus)
        key = event.tgid, event.start_boottime_ns
        if key not in self._parents:
            self._parents[key] = self._random.choice(self._keys)
        parent_tgid, parent_start_ns = self._parents[key]
        event = event._replace(
            cpu=cpu, seq=self._seq[cpu],
            parent_tgid=parent_tgid, parent_start_boottime_ns=parent_start_ns,
        )  # fmt: skip
        self._header.pack_into(data, offset, *event)
        self._seq[cpu] += 1
        self._attempts[event.kind, cpu] += 1

    def _counters(self) -> KernelCounters:
        zero = (0,) * self._cpus
        attempts = tuple(
            tuple(self._attempts[kind, cpu] for cpu in range(self._cpus)) for kind in range(3)
        )
        return KernelCounters((zero,) * CAUSES, tuple(self._seq), attempts, (zero,) * 3, zero)


def larger(player: Player, processes: int, cpus: int) -> Player:
    """The same load on a host with so many live processes and CPUs."""
    live = crowd(processes)
    rounds = Larger(live, cpus)
    head = replace(player.head, cpus=cpus)
    return Player(head, Seed(live, 0), [rounds.round(step) for step in player.rounds])


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "load"
        if len(sys.argv) == 1:
            record(path, SECONDS)
        player = Player.of(path)
    print("| live processes | CPUs | µs an event up to the tree | and JSON |")
    print("|---:|---:|---:|---:|")
    sizes = [(count, FEW_CPUS) for count in PROCESSES] + [(FEW_PROCESSES, cpus) for cpus in CPUS]
    for processes, cpus in dict.fromkeys(sizes):
        host = larger(player, processes, cpus)
        tree, json = host.us_per_event(host.push), host.us_per_event(host.json)
        print(f"| {processes:,} | {cpus} | {tree:.2f} | {json:.2f} |", flush=True)


if __name__ == "__main__":
    main()
