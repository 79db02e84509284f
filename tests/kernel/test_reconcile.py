"""The tree against /proc: at rest they agree, after any storm and any loss."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentd.core.tree.process import Key
from agentd.core.tree.reconcile import Inferred
from agentd.host import clock, procfs
from tests.cgroup import ENOUGH_SECONDS, Cgroup, only_on, own_cgroup
from tests.kernel.agreement import in_proc, in_tree, reconcile
from tests.kernel.available import need_tracing
from tests.kernel.tracer import Tracer, attached, lost
from tests.records import EXEC, EXIT
from tests.records import lost as lost_event
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


Facts = tuple[Key, Key, bytes, bytes]
"""What tree and /proc must agree on: who, whose child, running what, and told what."""


def _known(tracer: Tracer) -> dict[int, Facts]:
    living = tracer.pipeline.tree.living
    found = in_tree(tracer).items()
    return {tgid: (*facts, living.at(tgid).image.args) for tgid, facts in found}  # type: ignore[union-attr]


def _there(cgroup: Cgroup) -> dict[int, Facts]:
    args = {
        seen.process.key[0]: seen.process.image.args for seen in procfs.Look(cgroup=cgroup.path)
    }
    found = in_proc(cgroup).items()
    return {tgid: (*facts, args.get(tgid, b"")) for tgid, facts in found}


def _suspects(tracer: Tracer) -> int:
    """How many live processes of the cgroup are in doubt."""
    tree = tracer.pipeline.tree
    return sum(p.inside and tree.doubts.is_suspect(p) for p in tree.living.values())


def _wait_until_calm(cgroup: Cgroup) -> None:
    """Until only those are left that stay."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    calm = 0
    before: list[int] = []
    while calm < 5:
        assert time.monotonic() < deadline, "the storm does not end"
        now = sorted(cgroup.processes())
        calm = calm + 1 if now == before and len(now) >= 110 else 0
        before = now
        time.sleep(0.1)


@contextmanager
def _storm(cgroup: Cgroup, fifo: Path) -> Iterator[None]:
    """A storm that has calmed down; what stays is ended in the end, all at once."""
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)  # nobody gets an end of file
    with cgroup.popen(["/bin/sh", "-c", STORM, str(fifo)], stdin=subprocess.PIPE):
        try:
            _wait_until_calm(cgroup)
            yield
        finally:
            _end_all(cgroup)
            os.close(held)


def _end_all(cgroup: Cgroup) -> None:
    for pid in cgroup.processes():
        with contextlib.suppress(ProcessLookupError):  # it was about to go
            os.kill(pid, signal.SIGKILL)


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
        after = reconcile(tracer, storm_cgroup)
        missed = lost(before)
        assert bool(missed) == (buffer_bytes == 4096)
        assert in_tree(tracer) == in_proc(storm_cgroup)
        assert _suspects(tracer) == 0
        inferred = [entry for entry in after if isinstance(entry, Inferred)]
        assert bool(inferred) == bool(missed) or any(tracer.capture.skipped_runs())
        assert sum(tracer.pipeline.inferred) == len(inferred)
        again = len(reconcile(tracer, storm_cgroup))
        assert again == 0


def test_exits_that_were_missed(storm_cgroup: Cgroup, tmp_path: Path) -> None:
    """Processes that died unseen are closed, and told without an ending."""
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        with _storm(storm_cgroup, tmp_path / "fifo"):
            tracer.collect()
            reconcile(tracer, storm_cgroup)
            alive = set(in_tree(tracer))
        missed = lost(tracer.collect())
        assert missed
        after = reconcile(tracer, storm_cgroup)
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


# who stays while others come and go: exec'd, exec'd twice out of one file, daemonised, and neither
_SURVIVORS = """
for i in $(seq "$1"); do
    (exec sleep 1000) &
    sh -c 'exec sh -c "read never; :" SECOND' FIRST <"$0" &
    setsid sh -c '(exec sleep 1000 "$@") & exit' daemon $i
    (read never; :) <"$0" &
    (:)
    sleep 0.05
done
exec sleep 1000
"""


@contextmanager
def _survivors(cgroup: Cgroup, fifo: Path, rounds: int) -> Iterator[None]:
    """Processes that stay, four a round and their maker."""
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)  # nobody gets an end of file
    command = ["/bin/bash", "-c", _SURVIVORS, str(fifo), str(rounds)]
    with cgroup.popen(command, stdin=subprocess.DEVNULL):
        try:
            yield
        finally:
            _end_all(cgroup)
            os.close(held)


def _await_rest(tracer: Tracer, cgroup: Cgroup, survivors: int) -> None:
    """Rounds until only the survivors are there, and stay what they are."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    calm = 0
    before: dict[int, Facts] = {}
    while calm < 20:
        assert time.monotonic() < deadline, f"{len(before)} processes do not come to rest"
        tracer.round()
        time.sleep(0.02)
        now = _there(cgroup)
        calm = calm + 1 if now == before and len(now) == survivors else 0
        before = now
    tracer.collect()


@pytest.mark.parametrize("buffer_bytes", [1 << 22, 4096])
@pytest.mark.parametrize("name", _STORMS)
def test_tree_after_a_storm(
    storm_cgroup: Cgroup, tmp_path: Path, name: str, buffer_bytes: int
) -> None:
    """With a reader that is slow and buffers that lose, or with neither: the tree is /proc's.

    Who was made in the storm and stayed is known: without a loss from the events alone, after one
    by comparing. The account is exact, and nothing is in doubt in the end.
    """
    loses = buffer_bytes == 4096
    (tmp_path / "storm").mkdir()
    command = _storm_command(name, tmp_path / "storm")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with (
        attached(storm_cgroup.path, buffer_bytes=buffer_bytes) as tracer,
        _survivors(storm_cgroup, tmp_path / "fifo", 4),
    ):
        with storm_cgroup.popen(command, **quiet) as process:
            while process.poll() is None:
                tracer.round()
                time.sleep(0.2 if loses else 0.01)
        _await_rest(tracer, storm_cgroup, 4 * 4 + 1)
        there, told = _there(storm_cgroup), tracer.pipeline.lost_total
        if loses:
            assert told, "the small buffer was not small enough"
        if not told and not any(tracer.capture.skipped_runs()):
            assert _known(tracer) == there
        reconcile(tracer, storm_cgroup)
        assert _known(tracer) == there
        assert _suspects(tracer) == 0
        assert tracer.pipeline.imbalance == 0
        assert told == tracer.counters().failures_total
        queue = tracer.pipeline.reorderer
        assert (queue.late_total, queue.forced_total, queue.inversions_out_total) == (0, 0, 0)


def test_seeded_in_a_storm(storm_cgroup: Cgroup, tmp_path: Path) -> None:
    """Who forks and execs while /proc is scanned, between attaching and the first event, is right.

    Nothing is compared: events and seed alone make the tree.
    """
    storm = ["bash", "-c", "for i in $(seq 400); do /bin/true $i; (exec /bin/true); done"]
    with (
        _survivors(storm_cgroup, tmp_path / "fifo", 60),
        storm_cgroup.popen(storm) as process,
        attached(storm_cgroup.path, buffer_bytes=1 << 24) as tracer,
    ):
        while process.poll() is None:
            tracer.round()
            time.sleep(0.01)
        _await_rest(tracer, storm_cgroup, 4 * 60 + 1)
        assert tracer.pipeline.lost_total == 0
        assert _known(tracer) == _there(storm_cgroup)
        assert tracer.pipeline.tree.misses["exit_missed"] == 0
        found = tracer.pipeline.tree.living.values()
        assert not [process for process in found if process.inside and process.exited_ns]


def test_files_that_are_gone_or_deep_are_no_exec(storm_cgroup: Cgroup, tmp_path: Path) -> None:
    """A deleted file, a renamed one and one whose path is cut are what runs, after any loss."""
    deep = tmp_path.joinpath(*["d" * 100] * 30)
    deep.mkdir(parents=True)
    programs = [tmp_path / "deleted", tmp_path / "before", deep / "sleep"]
    for program in programs:
        shutil.copy("/bin/sleep", program)
    with attached(storm_cgroup.path) as tracer, contextlib.ExitStack() as stack:
        for program in programs:
            process = stack.enter_context(storm_cgroup.popen([str(program), "1000"]))
            stack.callback(process.kill)
        tracer.collect()
        programs[0].unlink()
        programs[1].rename(tmp_path / "after")
        tracer.pipeline.tree.doubts.lose(lost_event(clock.boottime_ns()))
        assert _suspects(tracer) == 3
        assert reconcile(tracer, storm_cgroup) == []
        assert _suspects(tracer) == 0


def test_the_same_file_with_other_arguments(storm_cgroup: Cgroup, tmp_path: Path) -> None:
    """An exec that was lost is found, though the file is the one that ran before."""
    script = "read a; for i in $(seq 200); do (:); done; exec sh -c 'read b' SECOND"
    with attached(storm_cgroup.path, buffer_bytes=4096) as tracer:
        with only_on(max(os.sched_getaffinity(0))):  # whose buffer is full
            process = storm_cgroup.popen(["/bin/sh", "-c", script, "FIRST"], stdin=subprocess.PIPE)
        with process:
            tracer.collect()
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            cmdline = Path(f"/proc/{process.pid}/cmdline")
            while not cmdline.read_bytes().endswith(b"\0SECOND\0"):
                time.sleep(0.01)
            assert lost(tracer.collect())
            assert _suspects(tracer)
            inferred = [e for e in reconcile(tracer, storm_cgroup) if isinstance(e, Inferred)]
            process.stdin.close()
    (found,) = (e for e in inferred if e.key[0] == process.pid)
    assert (found.kind, found.image.args) == (EXEC, b"sh\0-c\0read b\0SECOND\0")


def test_who_left_the_filter_and_exited(storm_cgroup: Cgroup) -> None:
    """Nobody tells of that exit; a look closes the process, and another that only left stays."""
    with (
        attached(storm_cgroup.path) as tracer,
        storm_cgroup.popen(["/bin/sleep", "1000"]) as gone,
        storm_cgroup.popen(["/bin/sleep", "1001"]) as stays,
    ):
        tracer.collect()
        for process in (gone, stays):
            (storm_cgroup.folder.parent / "cgroup.procs").write_text(str(process.pid))
        gone.kill()
        gone.wait()
        living = tracer.pipeline.tree.living
        assert tracer.collect() == []
        assert living.at(gone.pid) is not None
        (exit_,) = reconcile(tracer, storm_cgroup)
        assert isinstance(exit_, Inferred)
        assert (exit_.kind, exit_.key[0]) == (EXIT, gone.pid)
        assert living.at(gone.pid) is None
        outside = living.at(stays.pid)
        assert outside is not None
        assert not outside.inside
        stays.kill()
        stays.wait()
        assert reconcile(tracer, storm_cgroup) == []
        assert living.at(stays.pid) is None
