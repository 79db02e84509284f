"""What older kernels get, tried on this one: each feature taken away gives the same events."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentd.core.exit_status import read_exit_code
from agentd.core.tree.process import SOMEBODY
from agentd.core.wire.events import Exec, Exit
from agentd.kernel import bpf_helpers
from tests.cgroup import Cgroup
from tests.kernel.agreement import at_rest, held
from tests.kernel.altered import LoaderSwap, before
from tests.kernel.available import need_tracing
from tests.kernel.c_programs import ALL_THREADS_LEAVE, FAR_SUBREAPER, LEADER_LEAVES_THEN_EXIT
from tests.kernel.old_verifier import fallthrough_back_edges
from tests.kernel.test_adopters import STEPS, adopters
from tests.kernel.tracer import Tracer, applied, attached, events, per_kind, shape
from tests.programs import compile_c
from tests.records import WIRE

pytestmark = pytest.mark.usefixtures("transport")

PROGRAMS = "bpf/agentd.bpf.c"


@pytest.fixture(scope="module", params=["HAVE_GROUP_DEAD", "HAVE_ATOMIC_FETCH", "HAVE_TASK_BTF"])
def lesser_tracer(
    request: pytest.FixtureRequest,
    cgroup: Cgroup,
    transport: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Tracer]:
    """A tracer whose programs do without one feature of newer kernels; loaded once."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as monkeypatch:
            swap_loader = LoaderSwap(tmp_path_factory.mktemp("lesser"), monkeypatch)
            swap_loader(PROGRAMS, before('#include "agentd.h"', f"#undef {request.param}\n"))
            tracer = stack.enter_context(attached(cgroup.path))
        yield tracer


def test_children_of_a_shell(cgroup: Cgroup, lesser_tracer: Tracer) -> None:
    """Fork, exec and exit come out with parents and status."""
    cgroup.run(["/bin/sh", "-c", "/bin/true a; exit 3"])
    entries = lesser_tracer.collect()
    found = events(entries)
    assert shape(found) == ["exec", "fork", "exec", "exit", "exit"]
    assert {event.parent_tgid for event in found[1:4]} == {found[0].tgid}
    assert [a.changed for a in applied(entries)] == [False] * 5
    assert isinstance(found[-1], Exit)
    assert read_exit_code(found[-1].exit_code).status == 3


def test_leader_that_leaves_first(cgroup: Cgroup, lesser_tracer: Tracer, compiled: Path) -> None:
    """A process ends with its last thread, once."""
    program = compile_c(compiled, "leader_leaves_then_exit", LEADER_LEAVES_THEN_EXIT)
    cgroup.run([program])
    found = events(lesser_tracer.collect())
    assert shape(found) == ["exec", "exit"]
    assert found[1].boottime_ns - found[0].boottime_ns > 40_000_000


def test_threads_that_end_together(cgroup: Cgroup, lesser_tracer: Tracer, compiled: Path) -> None:
    """Threads that end at one moment are one exit of their process."""
    cgroup.run([compile_c(compiled, "all_threads_leave", ALL_THREADS_LEAVE), "300"])
    lesser_tracer.assert_all(per_kind(lesser_tracer.collect()), (300, 1, 301))
    assert lesser_tracer.pipeline.imbalance == 0


@pytest.mark.parametrize("above", [STEPS, STEPS + 1])
def test_a_subreaper_above(
    cgroup: Cgroup, lesser_tracer: Tracer, compiled: Path, above: int
) -> None:
    """It is found as far up, and beyond there is somebody."""
    program = compile_c(compiled, "far_subreaper", FAR_SUBREAPER)
    with held(cgroup, [program, str(above)]) as process:
        at_rest(cgroup, above + 1)
        ((tgid, start_ns),) = adopters(events(lesser_tracer.collect()))
        assert tgid == process.pid if above == STEPS else (tgid, start_ns) == SOMEBODY
    at_rest(cgroup, 0)
    lesser_tracer.collect()


def test_without_the_members_that_not_every_kernel_shows(
    cgroup: Cgroup, swap_loader: LoaderSwap
) -> None:
    """Who leaves children leaves them to somebody; whether anything is interactive is not told."""
    gone = "".join(
        f"#undef OFF_{name}\n" for name in ("SIGNAL_IS_CHILD_SUBREAPER", "TTY_FILE_PRIVATE_TTY")
    )
    swap_loader(PROGRAMS, before('#include "agentd.h"', gone))
    with attached(cgroup.path) as tracer:
        cgroup.run(["/bin/sh", "-c", "/bin/true; sh -c 'sleep 0.2 & :'; sleep 0.4"])
        found = events(tracer.collect())
        execs = [event for event in found if isinstance(event, Exec)]
        assert {event.flags for event in execs} == {WIRE.constant("AGENTD_INTERACTIVE_UNKNOWN")}
        assert sorted(adopters(found)) == [(0, 0)] * (len(execs) - 1) + [SOMEBODY]


def test_two_threads_that_both_are_the_last(
    cgroup: Cgroup, swap_loader: LoaderSwap, compiled: Path
) -> None:
    """The second exit of one process is dropped and counted, and the account balances.

    Without the tracepoint's word, two threads may both find none but themselves. That is rare, so
    here the last two of each process always do.
    """
    swap_loader(
        "bpf/ending.h",
        lambda text: "#undef HAVE_GROUP_DEAD\n" + text.replace("live == 0", "live <= 1"),
    )
    with attached(cgroup.path) as tracer:
        cgroup.run([compile_c(compiled, "all_threads_leave", ALL_THREADS_LEAVE), "300"])
        told = per_kind(tracer.collect())
        tracer.assert_all(told, (300, 1, 301))
        assert tracer.pipeline.emitted == told
        dropped = tracer.pipeline.tree.duplicate_exits_total
        assert dropped >= 300
        assert [sum(kind) for kind in tracer.counters().attempts] == [*told[:2], told[2] + dropped]
        assert tracer.pipeline.imbalance == 0


def test_the_best_is_what_is_used(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """Where the kernel lets it read what it knows the type of, its verifier takes that variant."""
    if not bpf_helpers.offers(bpf_helpers.OF_TYPED_READS["get_current_task_btf"]):
        pytest.skip("this kernel has no bpf_get_current_task_btf()")
    others = "(*_typed_flags(), *_helper_flags(settings))"
    swap_loader("agentd/kernel/compile.py", lambda text: text.replace(others, "_typed_flags()"))
    with attached(cgroup.path) as tracer:
        cgroup.run(["/bin/true"])
        assert shape(events(tracer.collect())) == ["exec", "exit"]


@pytest.mark.parametrize("name", ["ringbuf", "perfbuf"])
def test_old_verifiers_know_the_loops(name: str) -> None:
    """Every loop goes back by a jump, as kernels up to 6.1 require."""
    need_tracing()
    command = [sys.executable, "-m", "tests.kernel.old_verifier", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "done\n"


def test_the_model_of_old_verifiers_finds_what_they_refuse() -> None:
    """A loop whose end runs into its beginning is refused, one that jumps back is not."""
    mov, loop, leave = b"\xb7\0\0\0\0\0\0\0", b"\x15\0\xfd\xff\0\0\0\0", b"\x95" + bytes(7)
    assert fallthrough_back_edges(mov + mov + loop + leave) == []
    into = b"\x05\0\x01\0\0\0\0\0"  # to the middle; the end of the loop runs into its head
    head = b"\x15\0\x01\0\0\0\0\0"
    tail = b"\x05\0\xfd\xff\0\0\0\0"
    assert fallthrough_back_edges(into + mov + head + tail + leave) == [(1, 2)]
