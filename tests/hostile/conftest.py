"""What attacks need: a cgroup, a load, and a folder that users without rights can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import cgroup, loadgen
from tests.hostile.siege import own_by_nobody

__all__ = ["attic", "cgroup", "loadgen"]


@pytest.fixture
def attic() -> Iterator[Path]:
    """A folder of uid 65534, for its programs and files. pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="agentd-hostile-", dir="/tmp"))
    try:
        yield own_by_nobody(folder)
    finally:
        shutil.rmtree(folder)
