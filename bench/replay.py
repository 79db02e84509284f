#!/usr/bin/env python3
"""What one core does with records that are already there: decode, reorder, tree, JSON.

``python3 bench/replay.py [--seconds N]``, as root, after ``bench/build.sh``: records a load of
2,000 fork-exec lifecycles a second, then plays the rounds through the same pipeline again and again
in this process. No kernel, no pauses, no other process: the figure is the code's alone.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from load import LoadPlan, own_cgroup, running_load  # noqa: E402
from subject import running_agentd  # noqa: E402

from agentd.config.limits import limits_of  # noqa: E402
from agentd.config.schema import Config  # noqa: E402
from agentd.core.batch import Batch  # noqa: E402
from agentd.core.names import Names  # noqa: E402
from agentd.core.pipeline import Pipeline  # noqa: E402
from agentd.core.redact import Redactor  # noqa: E402
from agentd.core.steps import Round, Seed  # noqa: E402
from agentd.host.proc_codec import checked_process, plain_process  # noqa: E402
from agentd.kernel.wire_header import read_wire  # noqa: E402
from agentd.recording.replay import open_recording  # noqa: E402
from agentd.recording.values import Head  # noqa: E402
from agentd.sinks.render.ecs import EcsRenderer  # noqa: E402

RATE_PER_S = 2000
TURNS = 5
AGENTD = HERE.parent / ".venv/bin/agentd"


def record(path: Path, seconds: float) -> None:
    """What agentd reads under that load."""
    plan = LoadPlan("fork-exec", rate_per_s=RATE_PER_S, seconds=seconds)
    with own_cgroup() as cgroup:
        command = ("--record", str(path))
        with running_agentd(AGENTD, cgroup, (), subprocess.DEVNULL, command) as agentd:
            agentd.wait_ready()
            with running_load(HERE / "build/loadgen", cgroup, plan) as load:
                load.report()


def known(number: int) -> str | None:
    """Every name is known: to look one up is not what is measured."""
    return "/bench"


class Player:
    """Plays rounds, again and again."""

    def __init__(self, head: Head, seed: Seed, rounds: list[Round]) -> None:
        self.head = head
        self.seed = seed
        self.rounds = rounds
        self.events = sum(len(step.delivery.spans) for step in rounds)

    @classmethod
    def of(cls, path: Path) -> Player:
        """Of a recording."""
        recording = open_recording(path)
        steps = list(recording.steps())
        recording.close()
        seed = next(step for step in steps if isinstance(step, Seed))
        return cls(recording.head, seed, [step for step in steps if isinstance(step, Round)])

    def pipeline(self) -> Pipeline:
        """A fresh one."""
        pipeline = Pipeline(
            read_wire(), self.head.cpus, limits_of(Config()), self.head.tick_ns,
            redact=Redactor(Config().redact.patterns).redact, hold_until_seeded=True,
        )  # fmt: skip
        fresh = [checked_process(plain_process(process)) for process in self.seed.processes]
        pipeline.seed(fresh, self.seed.begun_ns)
        return pipeline

    def decode(self, pipeline: Pipeline) -> None:
        """Bytes to tuples."""
        for step in self.rounds:
            pipeline.decoder.decode(step.delivery.data, step.delivery.spans)

    def push(self, pipeline: Pipeline) -> None:
        """That, and order, account and tree."""
        for step in self.rounds:
            pipeline.push(step.now_ns, step.before, step.delivery, step.after)

    def json(self, pipeline: Pipeline) -> None:
        """That, and lines of JSON."""
        names = Names(known, known, known)
        renderer = EcsRenderer(read_wire(), self.head.boot_id, self.head.page_bytes, names)
        sequence = 0
        for step in self.rounds:
            entries = pipeline.push(step.now_ns, step.before, step.delivery, step.after)
            renderer.render(Batch(entries, sequence, step.wall_offset_ns))
            sequence += len(entries)

    def us_per_event(self, play: Callable[[Pipeline], None]) -> float:
        """The best of some turns, each with a pipeline of its own that is seeded already."""
        spent = []
        for _ in range(TURNS):
            pipeline = self.pipeline()
            gc.collect()
            gc.freeze()
            begun = time.process_time()
            play(pipeline)
            spent.append(time.process_time() - begun)
            gc.unfreeze()
        return 1e6 * min(spent) / self.events


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Replay a recorded load, hot.")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load to record")
    parser.add_argument("--recording", type=Path, help="play this one instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.recording or Path(folder) / "load"
        if arguments.recording is None:
            record(path, arguments.seconds)
        player = Player.of(path)
    print(f"{player.events:,} events in {len(player.rounds):,} rounds")
    print("| stage | events/s | µs a lifecycle (3 events) |")
    print("|---|---:|---:|")
    for name, play in (("decode", player.decode), ("tree", player.push), ("JSON", player.json)):
        us = player.us_per_event(play)
        print(f"| {name} | {1e6 / us:,.0f} | {3 * us:.1f} |")


if __name__ == "__main__":
    main()
