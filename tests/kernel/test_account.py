"""Whatever happens, the account is exact: attempts are events, losses or on their way."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import Event, Exec, Lost
from agentd.daemon.health.fork_audit import ForkAudit
from agentd.host import program_counts
from tests.cgroup import ENOUGH_SECONDS, Cgroup, own_cgroup
from tests.kernel.available import need_tracing
from tests.kernel.loadgen import built_loadgen, loadgen_command
from tests.kernel.tracer import (
    Tracer,
    applied,
    attached,
    events,
    failures_by_kind,
    lost,
    per_kind,
)
from tests.records import WIRE

pytestmark = pytest.mark.usefixtures("transport")


@pytest.fixture(scope="module")
def loadgen() -> Path:
    """The bench's load generator, which reports what it really did."""
    need_tracing()
    return built_loadgen()


@pytest.fixture
def storm_cgroup() -> Iterator[Cgroup]:
    """A cgroup of this test's own, so that the truth is only its storm."""
    need_tracing()
    with own_cgroup("storm") as cgroup:
        yield cgroup


def _storm(loadgen: Path, cgroup: Cgroup, *options: str) -> subprocess.Popen[str]:
    command = loadgen_command(loadgen, cgroup.folder, *options)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _truth(report: str) -> list[int]:
    """Forks, execs and exits that the cgroup has seen (bench/README.md)."""
    told = json.loads(report)
    workers = told["worker_forks"]
    return [told["forks"] + workers, told["execs"], told["exits"] + workers + 1]


@pytest.mark.parametrize("shape", ["fork-exec", "fork-exit", "vfork-exec"])
def test_two_cpus_flat_out(loadgen: Path, storm_cgroup: Cgroup, shape: str) -> None:
    """As fast as the machine can: everything arrives, in order, nothing late, account exact."""
    with attached(storm_cgroup.path, buffer_bytes=1 << 24) as tracer:  # for a busy machine
        storm = _storm(loadgen, storm_cgroup, "--shape", shape, "--seconds", "1.5")
        entries: list[Entry] = []
        while storm.poll() is None:
            entries += tracer.round()
        entries += tracer.collect()
        assert storm.stdout is not None
        with storm.stdout:
            truth = _truth(storm.stdout.read())
        queue = tracer.pipeline.reorderer
        tracer.assert_all(per_kind(entries), truth)
        assert [sum(kind) for kind in tracer.counters().attempts] == per_kind(entries)
        assert (queue.late_total, queue.forced_total, queue.inversions_out_total) == (0, 0, 0)
        assert tracer.pipeline.imbalance == 0
        stamps = [event.boottime_ns for event in events(entries)]
        assert stamps == sorted(stamps)


def test_every_child_has_its_parent(loadgen: Path, storm_cgroup: Cgroup) -> None:
    """In a storm on all CPUs each event knows its process's parent."""
    with attached(storm_cgroup.path) as tracer:
        storm = _storm(loadgen, storm_cgroup, "--count", "3000")
        entries: list[Entry] = []
        while storm.poll() is None:
            entries += tracer.round()
        entries += tracer.collect()
        assert storm.stdout is not None
        storm.stdout.close()
        orphans = [a for a in applied(entries) if a.parent_image is None]
        # the generator itself was forked outside: it and its workers' first events
        left_out = sum(tracer.capture.skipped_runs())
        assert len(orphans) <= 2 * len(os.sched_getaffinity(0)) + 2 + 3000 * bool(left_out)
        assert tracer.pipeline.tree.misses["exec_unknown"] <= left_out


def test_full_buffer_with_a_stopped_reader(loadgen: Path, storm_cgroup: Cgroup) -> None:
    """A buffer of one page loses events; every one is accounted for, in the stream and in sum."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        storm = _storm(loadgen, storm_cgroup, "--count", "2000")
        report, _ = storm.communicate(timeout=ENOUGH_SECONDS)
        truth = _truth(report)
        entries = tracer.collect()
        counters = tracer.counters()
        missing = sum(loss.missing for loss in lost(entries))
        tracer.assert_all([sum(kind) for kind in counters.attempts], truth)
        assert missing == counters.failures_total > 0
        by_kind = [
            emitted + failed
            for emitted, failed in zip(per_kind(entries), failures_by_kind(counters), strict=True)
        ]
        tracer.assert_all(by_kind, truth)
        assert tracer.pipeline.imbalance == 0
        assert {loss.stage for loss in lost(entries)} == {tracer.transport.room_stage}


def test_losses_stand_at_their_place(loadgen: Path, storm_cgroup: Cgroup) -> None:
    """A loss stands between the events of its CPU around it, and its numbers fill the gap."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        entries: list[Entry] = []
        for _ in range(4):
            storm = _storm(loadgen, storm_cgroup, "--count", "40")
            storm.communicate(timeout=ENOUGH_SECONDS)
            entries += tracer.collect()
        assert len(lost(entries)) > 1
        _assert_no_gap(entries)
        stamps = [_item(entry).boottime_ns for entry in entries]
        assert stamps == sorted(stamps)
        by_number = {(event.cpu, event.seq): event.boottime_ns for event in events(entries)}
        for loss in lost(entries):
            ahead_ns = by_number.get((loss.cpu, loss.seq - 1), loss.from_boottime_ns)
            behind_ns = by_number.get((loss.cpu, loss.seq + loss.missing), loss.to_boottime_ns)
            assert loss.from_boottime_ns <= ahead_ns
            assert loss.from_boottime_ns <= loss.to_boottime_ns <= behind_ns


def _item(entry: Entry) -> Event | Lost:
    assert not isinstance(entry, Inferred)
    return entry.event if isinstance(entry, Applied) else entry


def _assert_no_gap(entries: list[Entry]) -> None:
    """Events and losses of a CPU together have every number once.

    Their times need not ascend with the numbers: a program can be preempted between the two.
    """
    following: Counter[int] = Counter()
    for item in sorted(map(_item, entries), key=lambda item: item.seq):
        assert item.seq == following[item.cpu]
        following[item.cpu] += item.missing if isinstance(item, Lost) else 1


@pytest.mark.parametrize("shape", ["fork-exec", "fork-exit"])
def test_reader_that_is_always_too_slow(loadgen: Path, storm_cgroup: Cgroup, shape: str) -> None:
    """While events are lost all the time, what comes out is in order and the account is exact."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        storm = _storm(loadgen, storm_cgroup, "--shape", shape, "--seconds", "1")
        entries: list[Entry] = []
        told = 0
        while storm.poll() is None:
            time.sleep(0.003)
            if (failed_now := tracer.counters().failures_total) > told:  # it has been too slow
                told = failed_now
                entries += tracer.round()
        entries += tracer.collect()
        assert storm.stdout is not None
        with storm.stdout:
            truth = _truth(storm.stdout.read())
        failed = failures_by_kind(tracer.counters())
        assert sum(loss.missing for loss in lost(entries)) == sum(failed) > 0
        emitted = per_kind(entries)
        tracer.assert_all([a + b for a, b in zip(emitted, failed, strict=True)], truth)
        stamps = [_item(entry).boottime_ns for entry in entries]
        assert stamps == sorted(stamps)
        _assert_no_gap(entries)
        queue = tracer.pipeline.reorderer
        assert (queue.late_total, queue.forced_total, queue.inversions_out_total) == (0, 0, 0)
        assert tracer.pipeline.imbalance == 0
        assert tracer.pipeline.losses.repeated_total == 0


def test_kind_of_a_loss(storm_cgroup: Cgroup) -> None:
    """Where all that was lost is of one kind, the loss says which."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        shell = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (:); done"
        storm_cgroup.run(["/bin/sh", "-c", f"{shell}; {shell}; {shell}"])
        entries = tracer.collect()
        failures = tracer.counters().failures
        assert failures[0] != failures[1]
        for loss in lost(entries):
            kinds = [kind for kind in range(3) if failures[kind][loss.cpu]]
            assert loss.kind == (kinds[0] if len(kinds) == 1 else None)


def test_reader_goes_on_after_a_loss(loadgen: Path, storm_cgroup: Cgroup) -> None:
    """When the reader comes back, events flow again and nothing more is lost."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        _storm(loadgen, storm_cgroup, "--count", "200").communicate(timeout=ENOUGH_SECONDS)
        tracer.collect()
        failures = tracer.counters().failures_total
        storm_cgroup.run(["/bin/true", "after"])
        entries = tracer.collect()
        last_exec = [event for event in events(entries) if isinstance(event, Exec)][-1]
        assert last_exec.args == b"/bin/true\0after\0"
        assert tracer.counters().failures_total == failures


def test_arguments_give_way_before_events(storm_cgroup: Cgroup) -> None:
    """Where a long record has no room any more, a shorter one is reported, and flagged."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        storm_cgroup.run(["/bin/true", "x" * 5000])
        found = events(tracer.collect())
        assert isinstance(found[0], Exec)
        assert found[0].flags == WIRE.constant("AGENTD_ARGS_TRUNCATED")
        assert found[0].args_total_bytes == 5011
        kept = WIRE.constant("AGENTD_CUT_ARGS_MAX")
        assert found[0].args == (b"/bin/true\0" + b"x" * 5000)[:kept]


IN_FLIGHT_AT_THE_START = 2
"""Forks of whatever else runs here that were counted, but not yet traced, when the audit began."""


def test_kernels_own_fork_count_agrees() -> None:
    """Unfiltered, forks and threads together are what /proc/stat counts."""
    need_tracing()
    with attached("") as tracer:
        audit = ForkAudit(lambda: _forks(tracer), program_counts.forks_total)
        threads = [threading.Thread(target=int) for _ in range(20)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        for thread in threads:
            thread.join()
        assert abs(audit.unaccounted()) <= IN_FLIGHT_AT_THE_START


def test_kernels_own_fork_count_agrees_in_a_storm(loadgen: Path, storm_cgroup: Cgroup) -> None:
    """The same while both CPUs fork as fast as they can, with the audit reading meanwhile."""
    with attached("") as tracer:
        audit = ForkAudit(lambda: _forks(tracer), program_counts.forks_total)
        storm = _storm(loadgen, storm_cgroup, "--shape", "fork-exit", "--seconds", "1")
        meanwhile = []
        while storm.poll() is None:
            meanwhile.append(audit.unaccounted())
        assert storm.stdout is not None
        with storm.stdout:
            truth = _truth(storm.stdout.read())
        assert abs(audit.unaccounted()) <= IN_FLIGHT_AT_THE_START
        # the kernel counts a fork a moment before it traces it
        assert all(0 <= some <= 10 for some in meanwhile)
        assert sum(tracer.counters().attempts[0]) >= truth[0]
        assert tracer.counters().filtered == ((0,) * len(tracer.counters().seq),) * 3


def _forks(tracer: Tracer) -> int:
    counters = tracer.counters()
    return sum(counters.attempts[0]) + sum(counters.threads)
