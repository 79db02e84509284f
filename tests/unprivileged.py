"""Users without rights: a uid that nobody else runs under, and an agentd that it can read.

A clone may lie where only root may look, in /root for instance, and so may its Python.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NOBODY_ELSE = 3_000_000_000
"""From here on a host has no users."""


@dataclass(frozen=True, slots=True)
class Readable:
    """An agentd for any user."""

    command: list[str]
    environment: dict[str, str]


@contextlib.contextmanager
def readable_agentd() -> Iterator[Readable]:
    """Copy agentd to where every user may read it."""
    with tempfile.TemporaryDirectory(prefix="agentd-readable-") as name:
        folder = Path(name)
        for part in ("agentd", "bpf"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        python = os.path.realpath(sys.executable)
        command = [python, "-P", "-c", "from agentd.cli.main import main; main()"]
        yield Readable(command, {**os.environ, "PYTHONPATH": str(folder)})


def unused_uid() -> int:
    """A uid under which nobody else runs anything."""
    return _NOBODY_ELSE + os.getpid()
