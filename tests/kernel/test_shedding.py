"""When nobody reads and the ring fills up, detail goes first, then execs; forks and exits last."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agentd.core.wire.events import Exec
from tests.cgroup import Cgroup
from tests.kernel.agreement import Facts, at_rest, held, in_tree
from tests.kernel.tracer import Current, attached, events, failures_by_kind, lost, shape
from tests.records import WIRE

ARGS_TRUNCATED = WIRE.constant("AGENTD_ARGS_TRUNCATED")
CUT_ARGS_MAX = WIRE.constant("AGENTD_CUT_ARGS_MAX")
RING_BYTES = 1 << 20
STAYING = 10

FLOOD = """
printf -v long %1500s
for ((i = 0; i < $1; i++)); do
    /bin/true $i "$long"
    if ((i % ($1 / 10) == 0)); then /bin/sh -c 'read wait' sh "$long" <&3 & fi
done
exec cat
"""
"""So many short commands with long arguments, and ten that stay."""


@pytest.fixture(autouse=True)
def _over_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A perf buffer does not say how full it is."""
    monkeypatch.setattr(Current, "transport", "ringbuf")


@contextmanager
def _flood(cgroup: Cgroup, count: int) -> Iterator[dict[int, Facts]]:
    """When it is over, what /proc shows of those that stay."""
    with held(cgroup, ["/bin/bash", "-c", FLOOD, "bash", str(count)]) as process:
        while not os.readlink(f"/proc/{process.pid}/exe").endswith("/cat"):
            time.sleep(0.05)
        yield at_rest(cgroup, STAYING + 1)


def test_tree_after_a_flood_that_loses_arguments(cgroup: Cgroup) -> None:
    """Beyond half of the ring arguments are cut, and flagged; no event is lost, the tree right."""
    with attached(cgroup.path, RING_BYTES) as tracer:
        with _flood(cgroup, 350) as there:
            assert tracer.counters().failures_total == 0
            entries = tracer.collect()
            assert in_tree(tracer) == there
        execs = [event for event in events(entries) if isinstance(event, Exec)]
        long = [event for event in execs if event.args_total_bytes > 1500]
        cut = [bool(event.flags & ARGS_TRUNCATED) for event in long]
        assert cut == sorted(cut)
        assert set(cut) == {False, True}
        assert {len(event.args) for event in long if event.flags & ARGS_TRUNCATED} == {CUT_ARGS_MAX}


def test_execs_go_before_forks_and_exits(cgroup: Cgroup) -> None:
    """With no room for cut arguments either, who lives and whose child it is are known still."""
    count = 1100
    with attached(cgroup.path, RING_BYTES) as tracer:
        with _flood(cgroup, count) as there:
            forks, execs, exits = failures_by_kind(tracer.counters())
            assert (forks, exits) == (0, 0)
            assert execs > 100
            entries = tracer.collect()
            tree = in_tree(tracer)
        assert {pid: facts[:2] for pid, facts in tree.items()} == {
            pid: facts[:2] for pid, facts in there.items()
        }
        assert sum(loss.missing for loss in lost(entries)) == execs
        kinds = shape(events(entries))
        assert kinds.count("fork") == count + STAYING
        assert kinds.count("exit") == count
