#!/usr/bin/env python3
"""Where an event's work is, in instructions and not in time: the same on a busy machine.

``python3 bench/instructions.py``, as root, after ``bench/build.sh``, with the compiled package in
PYTHONPATH: plays a recorded load as ``replay.py`` does, under callgrind, and prints what each
compiled function took with all that it called, for each lifecycle.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from replay import Player, record

from agentd.daemon import memory

SECONDS = 2.0
TURNS = 2
EVENTS_A_LIFECYCLE = 3
LEAST = 500
"""Instructions a lifecycle, below which a function is not shown."""
_ROW = re.compile(r"^ *([\d,]+) .*:CPyDef_(\w+)", re.M)


def play(path: Path) -> None:
    """What callgrind looks at: some turns of everything, and the start of Python around it."""
    player = Player.of(path)
    memory.settle()
    for _ in range(TURNS):
        player.json(player.pipeline())


def counted(path: Path, folder: Path) -> str:
    """What callgrind says of that. Raises CalledProcessError if it fails."""
    out = folder / "callgrind.out"
    own = [sys.executable, __file__, "--play", str(path)]
    callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run([*callgrind, *own], check=True, env=environment, capture_output=True)
    annotate = ["callgrind_annotate", "--inclusive=yes", str(out)]
    return subprocess.run(annotate, check=True, capture_output=True, text=True).stdout


def rows(annotated: str, events: int) -> Iterator[tuple[str, int]]:
    """Function, and its instructions a lifecycle, the largest first; each function once."""
    met = set()
    for instructions, function in _ROW.findall(annotated):
        each = int(instructions.replace(",", "")) * EVENTS_A_LIFECYCLE // (TURNS * events)
        if function not in met and each >= LEAST:
            met.add(function)
            yield re.sub("_{3,}", ".", function), each


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Count instructions of a recorded load.")
    parser.add_argument("--play", type=Path, metavar="FILE", help="only play a recording")
    arguments = parser.parse_args()
    if arguments.play:
        play(arguments.play)
        return
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "load"
        record(path, SECONDS)
        events = Player.of(path).events
        print("| function | instructions a lifecycle |\n|---|---:|")
        for function, each in rows(counted(path, Path(name)), events):
            print(f"| `{function}` | {each:,} |")


if __name__ == "__main__":
    main()
