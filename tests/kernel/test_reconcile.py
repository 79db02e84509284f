"""The tree against /proc: at rest they agree, after any storm and any loss."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentd import host, procfs
from agentd.core.pipeline import Entry
from agentd.core.reconcile import Inferred, Scan
from tests.cgroup import Cgroup, own_cgroup
from tests.kernel.agreement import in_proc, in_tree
from tests.kernel.available import need_tracing
from tests.kernel.tracer import ENOUGH_SECONDS, Tracer, attached, lost
from tests.records import EXIT
from tests.requirements import need_program

pytestmark = pytest.mark.usefixtures("transport")

# processes that stay (a shell below a shell, an exec'd cat), among many that do not
STORM = """
i=0
while [ $((i += 1)) -le 30 ]; do
    (exec sleep 1000) &
    (sh -c 'read wait; :' <"$0" & read wait <"$0") &
    for j in 1 2 3 4 5 6 7; do /bin/true $j & done
    (exec sh -c 'exec cat' <"$0") &
    for j in 1 2 3 4 5; do (:) & done
done
wait_here() { read go; }
wait_here
"""


@pytest.fixture
def storm_cgroup() -> Iterator[Cgroup]:
    """A cgroup of its own."""
    need_tracing()
    with own_cgroup("reconcile") as cgroup:
        yield cgroup


def _reconcile(tracer: Tracer, cgroup: Cgroup) -> list[Entry]:
    """Scan and compare, with rounds until that is done."""
    tracer.pipeline.tree.watch_exits()
    begun_ns = host.boottime_ns()
    found = tuple(procfs.Look(cgroup=cgroup.path))
    tracer.pipeline.offer(Scan(begun_ns, host.boottime_ns(), found, complete=True))
    return tracer.collect()


def _suspects(tracer: Tracer) -> int:
    """How many live processes of the cgroup are in doubt."""
    tree = tracer.pipeline.tree
    return sum(p.inside and tree.doubts.is_suspect(p) for p in tree.living.values())


def _wait_until_calm(cgroup: Cgroup) -> None:
    """Until only those are left that stay."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    before: list[int] = []
    while (now := sorted(cgroup.processes())) != before or len(now) < 110:
        assert time.monotonic() < deadline, "the storm does not end"
        before = now
        time.sleep(0.1)


@contextmanager
def _storm(cgroup: Cgroup, fifo: Path) -> Iterator[None]:
    """A storm that has calmed down; what stays is ended in the end, all at once."""
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)  # nobody gets an end of file
    with cgroup.popen(["/bin/sh", "-c", STORM, str(fifo)], stdin=subprocess.PIPE):
        _wait_until_calm(cgroup)
        yield
        for pid in cgroup.processes():
            with contextlib.suppress(ProcessLookupError):  # it was about to go
                os.kill(pid, signal.SIGKILL)
    os.close(held)


@pytest.mark.parametrize("buffer_bytes", [1 << 20, 4096])
def test_tree_equals_proc_at_rest(storm_cgroup: Cgroup, tmp_path: Path, buffer_bytes: int) -> None:
    """After a storm with nobody reading, small buffer or large, the tree is what /proc shows.

    Without a loss nothing is inferred; with losses all that is missing is added and told.
    """
    with (
        attached(storm_cgroup.path, buffer_bytes=buffer_bytes) as tracer,
        _storm(storm_cgroup, tmp_path / "fifo"),
    ):
        before = tracer.collect()
        assert bool(_suspects(tracer)) == bool(lost(before))
        after = _reconcile(tracer, storm_cgroup)
        missed = lost(before)
        assert bool(missed) == (buffer_bytes == 4096)
        assert in_tree(tracer) == in_proc(storm_cgroup)
        assert _suspects(tracer) == 0
        inferred = [entry for entry in after if isinstance(entry, Inferred)]
        assert bool(inferred) == bool(missed) or any(tracer.capture.skipped_runs())
        assert sum(tracer.pipeline.inferred) == len(inferred)
        again = len(_reconcile(tracer, storm_cgroup))
        assert again == 0


def test_exits_that_were_missed(storm_cgroup: Cgroup, tmp_path: Path) -> None:
    """Processes that died unseen are closed, and told without an ending."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        with _storm(storm_cgroup, tmp_path / "fifo"):
            tracer.collect()
            _reconcile(tracer, storm_cgroup)
            alive = set(in_tree(tracer))
        missed = lost(tracer.collect())
        assert missed
        after = _reconcile(tracer, storm_cgroup)
        tree = {process.key[0] for process in tracer.pipeline.tree.living.values()}
        assert not alive & tree
        exits = [e for e in after if isinstance(e, Inferred) and e.kind == EXIT]
        assert exits
        assert {inferred.key[0] for inferred in exits} <= alive


def _stress(stressor: str, folder: Path) -> list[str]:
    """One of stress-ng's stressors for a second, on all CPUs."""
    stress = need_program("stress-ng")
    folder_option = ["--temp-path", str(folder)]
    return [stress, "--quiet", *folder_option, f"--{stressor}", "0", "--timeout", "1s"]


def _build(folder: Path) -> list[str]:
    """make -j over many small C files, as a kernel is built."""
    for number in range(60):
        (folder / f"f{number}.c").write_text(f"int f{number}(void) {{ return {number}; }}\n")
    (folder / "Makefile").write_text(
        "all: $(patsubst %.c,%.o,$(wildcard *.c))\n\tar rcs all.a $^\n"
        "%.o: %.c\n\t@echo $< >$@.log; cc -O0 -c $< -o $@\n"
    )
    return ["make", "--silent", f"-j{2 * (os.cpu_count() or 1)}", "-C", str(folder)]


_SHELLS = """
for i in $(seq 60); do
    for word in a b c; do echo $word; done | while read word; do (echo $word | cat) & done | wc -l
    $(: $(: $(true)))
    case $(cat <<<$i | sort) in 7) exec 3>&1;; esac
    { sleep 0.001 & wait $!; } && (exit $i) || :
done
wait
"""


def _storm_command(name: str, folder: Path) -> list[str]:
    if name == "build":
        return _build(folder)
    if name == "shells":
        return ["bash", "-c", _SHELLS]
    return _stress(name, folder)


_STORMS = ["fork", "vfork", "vforkmany", "exec", "clone", "daemon", "build", "shells"]


@pytest.mark.parametrize("buffer_bytes", [1 << 20, 4096])
@pytest.mark.parametrize("name", _STORMS)
def test_tree_after_a_storm(
    storm_cgroup: Cgroup, tmp_path: Path, name: str, buffer_bytes: int
) -> None:
    """With a reader that is slow and buffers that lose, or with neither: nothing is left over.

    The account is exact, and the tree is what /proc shows of the cgroup; nothing in it is in doubt.
    """
    command = _storm_command(name, tmp_path)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with attached(storm_cgroup.path, buffer_bytes=buffer_bytes) as tracer:
        with storm_cgroup.popen(command, **quiet) as process:
            while process.poll() is None:
                tracer.round()
                time.sleep(0.01)
        while storm_cgroup.processes():
            tracer.round()
            time.sleep(0.01)
        tracer.collect()
        _reconcile(tracer, storm_cgroup)
        assert in_tree(tracer) == in_proc(storm_cgroup) == {}
        assert _suspects(tracer) == 0
        assert tracer.pipeline.imbalance == 0
        told, failed = tracer.pipeline.lost_total, tracer.counters().failures_total
        assert told == failed
        queue = tracer.pipeline.reorderer
        assert (queue.late_total, queue.forced_total, queue.inversions_out_total) == (0, 0, 0)
