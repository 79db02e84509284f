"""A running agentd, as its users run it, in a cgroup of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cgroup import Cgroup, own_cgroup
from tests.kernel.available import need_tracing
from tests.kernel.loadgen import built_loadgen


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """The cgroup that agentd watches."""
    need_tracing()
    with own_cgroup("e2e") as cgroup:
        yield cgroup


@pytest.fixture(scope="session")
def loadgen() -> Path:
    """The bench's load generator."""
    return built_loadgen()
