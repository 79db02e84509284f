"""The bench's load generator, which reports what it really did (bench/README.md)."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from tests.requirements import need_program

BENCH = Path(__file__).resolve().parents[2] / "bench"
_SOURCES = ("loadgen.c", "tiny.c", "build.sh")
_PROGRAMS = ("loadgen", "tiny")


def built_loadgen() -> Path:
    """Its path; built unless it is newer than its sources, for somebody may be running it."""
    need_program("cc")
    programs = [BENCH / "build" / name for name in _PROGRAMS]
    newest = max((BENCH / name).stat().st_mtime for name in _SOURCES)
    with (BENCH / "build.sh").open() as script:
        fcntl.flock(script, fcntl.LOCK_EX)  # other tests may want to build it now, too
        if not all(path.exists() and path.stat().st_mtime > newest for path in programs):
            subprocess.run([script.name], check=True, capture_output=True)
    return programs[0]


def loadgen_command(loadgen: Path, cgroup_folder: Path, *options: str) -> list[str]:
    """The command that makes its load inside a cgroup."""
    child = loadgen.with_name("tiny")
    return [str(loadgen), "--child", str(child), *options, "--cgroup", str(cgroup_folder)]
