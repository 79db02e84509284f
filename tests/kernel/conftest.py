"""A cgroup and a tracer for kernel tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cgroup import Cgroup, own_cgroup
from tests.kernel.agreement import at_rest, in_tree
from tests.kernel.altered import LoaderSwap
from tests.kernel.available import need_tracing
from tests.kernel.tracer import Current, Tracer, attached


@pytest.fixture(scope="session")
def cgroup() -> Iterator[Cgroup]:
    """The cgroup of all kernel tests of a session."""
    need_tracing()
    with own_cgroup("kernel") as cgroup:
        yield cgroup


@pytest.fixture(scope="session", params=["ringbuf", "perfbuf"])
def transport(request: pytest.FixtureRequest) -> str:
    """The transport that the test is about: all that trace events run over each."""
    Current.transport = request.param
    return Current.transport


@pytest.fixture(scope="session")
def session_tracer(cgroup: Cgroup, transport: str) -> Iterator[Tracer]:
    """One load for all tests that can share it."""
    with attached(cgroup.path) as tracer:
        yield tracer


@pytest.fixture
def tracer(session_tracer: Tracer, cgroup: Cgroup) -> Iterator[Tracer]:
    """The shared tracer, with nothing left over from the test before.

    Whatever the test let happen, its tree is what /proc shows in the end.
    """
    session_tracer.collect()
    yield session_tracer
    there = at_rest(cgroup)
    session_tracer.collect()
    assert in_tree(session_tracer) == there or any(session_tracer.capture.skipped_runs())


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the C programs of the tests are compiled to."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def swap_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoaderSwap:
    """A way to have a changed copy of agentd load the programs."""
    return LoaderSwap(tmp_path, monkeypatch)
