"""What attacks need: a cgroup, a load, and a folder that users without rights can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import cgroup, loadgen
from tests.hostile.siege import own_by_nobody
from tests.hostile.stuck_files import StuckFiles

__all__ = ["attic", "cgroup", "loadgen", "stuck"]


@pytest.fixture
def attic() -> Iterator[Path]:
    """A folder of uid 65534, for its programs and files. pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="agentd-hostile-", dir="/tmp"))
    try:
        yield own_by_nobody(folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def stuck(attic: Path) -> Iterator[StuckFiles]:
    """A file system of which a test decides how long it answers. Its program is a sleep."""
    files = StuckFiles(attic, "/bin/sleep")
    try:
        yield files
    finally:
        files.close()
