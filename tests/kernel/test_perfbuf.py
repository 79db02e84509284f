"""What only perf buffers have: CPUs without one, wake-ups by fill level, the kernel's account."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess

import pytest

from agentd.core.wire.events import Exec
from agentd.host import clock, system
from tests.cgroup import Cgroup, only_on
from tests.kernel.altered import LoaderSwap
from tests.kernel.loadgen import built_loadgen, loadgen_command
from tests.kernel.tracer import (
    Current,
    Tracer,
    attached,
    events,
    failures_by_kind,
    lost,
    shape,
)

PERF_EVENT_IOC_DISABLE = 0x2401
LOADER = "agentd/kernel/loader.py"
PROGRAMS = "bpf/agentd.bpf.c"


@pytest.fixture(autouse=True)
def _perfbuf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Current, "transport", "perfbuf")


@pytest.fixture
def last_cpu() -> int:
    """A CPU that is not the first."""
    cpu = max(os.sched_getaffinity(0))
    if cpu == 0:
        pytest.skip("needs a second CPU")
    return cpu


def _run_on(cpu: int, cgroup: Cgroup, *command: str) -> None:
    """Run something that stays on one CPU from its first event in the cgroup to its last."""
    with only_on(cpu):
        cgroup.run(list(command))


def _assert_all_lost_on(cpu: int, tracer: Tracer) -> None:
    """A shell's five events are all refused, and told with their CPU and stage."""
    told = lost(tracer.collect())
    assert {(loss.stage, loss.cpu) for loss in told} == {("output", cpu)}
    assert sum(loss.missing for loss in told) == tracer.counters().attempts_total == 5
    assert failures_by_kind(tracer.counters()) == [1, 2, 2]
    assert tracer.pipeline.imbalance == 0


def test_cpu_that_came_later(cgroup: Cgroup, swap_loader: LoaderSwap, last_cpu: int) -> None:
    """On a CPU that has no buffer every event is lost, counted and told; the others go on."""
    swap_loader(LOADER, lambda text: text.replace("in system.online_cpus()", "in [0]"))
    with attached(cgroup.path) as tracer:
        _run_on(last_cpu, cgroup, "/bin/sh", "-c", "/bin/true; :")
        _assert_all_lost_on(last_cpu, tracer)
        _run_on(0, cgroup, "/bin/true")
        assert shape(events(tracer.collect())) == ["exec", "exit"]


def test_cpu_that_goes_away(cgroup: Cgroup, last_cpu: int) -> None:
    """What its buffer holds is still read; what it would write later is lost, counted and told."""
    with attached(cgroup.path) as tracer:
        _run_on(last_cpu, cgroup, "/bin/true")
        event_fd = tracer.handover.perf_fds[system.online_cpus().index(last_cpu)]
        fcntl.ioctl(event_fd, PERF_EVENT_IOC_DISABLE, 0)
        assert shape(events(tracer.collect())) == ["exec", "exit"]
    with attached(cgroup.path) as tracer:
        event_fd = tracer.handover.perf_fds[system.online_cpus().index(last_cpu)]
        fcntl.ioctl(event_fd, PERF_EVENT_IOC_DISABLE, 0)
        _run_on(last_cpu, cgroup, "/bin/sh", "-c", "/bin/true; :")
        _assert_all_lost_on(last_cpu, tracer)


def test_the_kernels_own_account_agrees(cgroup: Cgroup) -> None:
    """PERF_RECORD_LOST tells of what the programs were refused, once a later record is written."""
    loadgen = built_loadgen()
    with attached(cgroup.path, buffer_bytes=4096) as tracer:
        command = loadgen_command(loadgen, cgroup.folder, "--shape", "fork-exit", "--count", "500")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        tracer.collect()
        for cpu in os.sched_getaffinity(0):
            _run_on(cpu, cgroup, "/bin/sh", "-c", "/bin/true; :")
        tracer.collect()
        assert tracer.transport.lost_samples == tracer.counters().failures_total > 0


def test_a_burst_wakes_the_reader(cgroup: Cgroup) -> None:
    """A buffer that fills up makes the fd readable, before the timer would look."""
    with attached(cgroup.path, buffer_bytes=8192) as tracer, select.epoll() as epoll:
        epoll.register(tracer.transport.fileno(), select.EPOLLIN)
        for _ in range(3):
            while epoll.poll(0):
                pass
            cgroup.run(["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do (:); done"])
            assert epoll.poll(3.0) == [(tracer.transport.fileno(), select.EPOLLIN)]
            tracer.collect()


def test_kernel_that_gives_no_boot_time(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """Before 5.8 the stamps are made from the monotonic clock, and mean the same."""
    swap_loader(
        "agentd/kernel/compile.py",
        lambda text: text.replace(
            "(*_typed_flags(), *_helper_flags(settings))", "_helper_flags(settings)[2:]"
        ),
    )
    with attached(cgroup.path) as tracer:
        before_ns = clock.boottime_ns()
        cgroup.run(["/bin/sh", "-c", "/bin/true; :"])
        after_ns = clock.boottime_ns()
        found = events(tracer.collect())
    assert shape(found) == ["exec", "fork", "exec", "exit", "exit"]
    assert before_ns < found[0].boottime_ns
    assert found[-1].boottime_ns < after_ns
    assert 0 <= found[1].boottime_ns - found[1].start_boottime_ns < 1_000_000_000


@pytest.mark.parametrize(
    ("change", "transport"),
    [("_BPF_MAP_TYPE_RINGBUF = 27", "ringbuf"), ("_BPF_MAP_TYPE_RINGBUF = 9999", "perfbuf")],
)
def test_auto_looks_for_a_ring_buffer(
    cgroup: Cgroup,
    swap_loader: LoaderSwap,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    transport: str,
) -> None:
    """It takes a ring buffer where the kernel makes one, else perf buffers, and says why."""
    monkeypatch.setattr(Current, "transport", "auto")
    swap_loader(
        "agentd/kernel/syscalls.py",
        lambda text: "# changed\n" + text.replace("_BPF_MAP_TYPE_RINGBUF = 27", change),
    )
    with attached(cgroup.path) as tracer:
        assert tracer.handover.transport == transport
        assert "BPF ring buffer" in tracer.handover.transport_reason
        cgroup.run(["/bin/true"])
        assert shape(events(tracer.collect())) == ["exec", "exit"]


def test_without_room_to_make_an_exec(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """An exec that preempts two others on its CPU is not mixed up with them, but lost and told."""
    swap_loader(PROGRAMS, lambda text: text.replace("&& claim(scratch)", "&& 0"))
    with attached(cgroup.path) as tracer:
        cgroup.run(["/bin/sh", "-c", "/bin/true; :"])
        entries = tracer.collect()
        assert shape(events(entries)) == ["fork", "exit", "exit"]
        assert {(loss.stage, loss.kind) for loss in lost(entries)} == {("output", 1)}
        assert failures_by_kind(tracer.counters()) == [0, 2, 0]


TAKE_THE_FIRST = """u32 zero = 0;
	struct exec_scratch *taken = scratches.lookup(&zero);

	if (taken)
		taken->claims = 1;
	"""


def test_execs_that_preempt_each_other(cgroup: Cgroup, swap_loader: LoaderSwap) -> None:
    """While the first area is taken, the second serves."""
    use = "struct exec_scratch *scratch = claim_scratch();"
    taken_first = "struct exec_scratch *scratch;\n" + TAKE_THE_FIRST + "scratch = claim_scratch();"
    swap_loader(PROGRAMS, lambda text: text.replace(use, taken_first))
    with attached(cgroup.path) as tracer:
        for _ in range(3):
            cgroup.run(["/bin/true", "argument"])
        found = events(tracer.collect())
    assert shape(found) == ["exec", "exit"] * 3
    assert all(e.args == b"/bin/true\0argument\0" for e in found if isinstance(e, Exec))
