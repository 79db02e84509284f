"""Small C programs that do to processes what no shell can."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.requirements import need_program


def compile_c(folder: Path, name: str, source: str, *flags: str) -> str:
    """Compile C text to ``folder/name`` (once) and give its path. Skips without gcc."""
    program = folder / name
    if not program.exists():
        gcc = need_program("gcc")
        command = [gcc, "-O1", "-Wall", "-Werror", "-pthread", *flags, "-x", "c", "-", "-o"]
        subprocess.run([*command, str(program)], input=source, text=True, check=True)
    return str(program)
