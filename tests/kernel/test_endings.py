"""A process ends once, with its last thread, and the event says how, as wait(2) does."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from agentd.core.exit_status import read_exit_code, scale_cpu_times
from agentd.core.wire.events import Exit
from agentd.host.system import PAGE_BYTES
from tests.cgroup import Cgroup
from tests.kernel.c_programs import (
    ALL_THREADS_LEAVE,
    BURN_CPU,
    LEADER_LEAVES,
    LEADER_LEAVES_THEN_EXIT,
)
from tests.kernel.tracer import Tracer, of, per_kind, shape
from tests.programs import compile_c

PARENT = """
import json, os, resource, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
cpu_seconds = usage.ru_utime + usage.ru_stime
print(json.dumps([child, status, cpu_seconds, usage.ru_maxrss]))
"""


class Waited:
    """What the parent of a process was told, and the event of its end."""

    def __init__(self, cgroup: Cgroup, tracer: Tracer, *command: str, **options: object) -> None:
        done = cgroup.run([sys.executable, "-S", "-c", PARENT, *command], **options)
        self.pid, self.status, self.cpu_seconds, self.max_rss_kib = json.loads(done.stdout)
        self.events = of(tracer.collect(), self.pid)
        assert isinstance(self.events[-1], Exit)
        self.exit: Exit = self.events[-1]


@pytest.mark.parametrize("status", [0, 1, 127, 255])
def test_exit_status(cgroup: Cgroup, tracer: Tracer, status: int) -> None:
    """The exit code is the one that wait(2) gives, and holds the status."""
    waited = Waited(cgroup, tracer, "/bin/sh", "-c", f"exit {status}")
    assert waited.exit.exit_code == waited.status
    assert read_exit_code(waited.exit.exit_code) == (status, None, False)


DIES = """
import os, resource, signal, sys
number = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if number != signal.SIGKILL:
    signal.signal(number, signal.SIG_DFL)
os.kill(os.getpid(), number)
"""
SIGNALS = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "XCPU", "SYS", "RTMIN", "RTMAX",
)  # fmt: skip


@pytest.mark.parametrize("name", SIGNALS)
def test_death_by_signal(cgroup: Cgroup, tracer: Tracer, name: str) -> None:
    """The exit code says which signal ended a process."""
    number = signal.Signals[f"SIG{name}"]
    waited = Waited(cgroup, tracer, sys.executable, "-S", "-c", DIES, str(int(number)))
    assert waited.exit.exit_code == waited.status
    dumped = os.WCOREDUMP(waited.status)  # where a program takes them, whatever the limit
    assert read_exit_code(waited.exit.exit_code) == (None, number, dumped)


def test_core_dump(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """A process that dumped core says so."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("|", "/")):
        pytest.skip(f"core dumps would leave this test's folder: core_pattern is {pattern}")
    waited = Waited(
        cgroup, tracer, "/bin/bash", "-c", "ulimit -c unlimited; kill -ABRT $$", cwd=tmp_path
    )
    if not os.WCOREDUMP(waited.status):
        pytest.skip("this kernel dumped no core")
    assert waited.exit.exit_code == waited.status
    assert read_exit_code(waited.exit.exit_code) == (None, signal.SIGABRT, True)


def test_leader_leaves_before_the_last_thread(
    cgroup: Cgroup, tracer: Tracer, compiled: Path
) -> None:
    """A process ends once, with its last thread; the status is what wait(2) says."""
    waited = Waited(cgroup, tracer, compile_c(compiled, "leader_leaves", LEADER_LEAVES))
    assert shape(waited.events) == ["fork", "exec", "exit"]
    assert waited.exit.exit_code == waited.status
    assert waited.exit.boottime_ns - waited.events[1].boottime_ns > 40_000_000


def test_another_thread_ends_the_process(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """When a thread calls exit(3) after the leader has gone, its status is the process's."""
    program = compile_c(compiled, "leader_leaves_then_exit", LEADER_LEAVES_THEN_EXIT)
    waited = Waited(cgroup, tracer, program)
    assert shape(waited.events) == ["fork", "exec", "exit"]
    assert waited.exit.exit_code == waited.status == 5 << 8


def test_a_thread_ends_the_process(cgroup: Cgroup, tracer: Tracer) -> None:
    """exit_group(2) from a thread, while the leader lives: one exit, with that status."""
    code = (
        "import os, threading\n"
        "thread = threading.Thread(target=os._exit, args=(6,)); thread.start(); thread.join()"
    )
    waited = Waited(cgroup, tracer, sys.executable, "-S", "-c", code)
    assert shape(waited.events) == ["fork", "exec", "exit"]
    assert waited.exit.exit_code == waited.status == 6 << 8


def test_threads_that_end_together(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """However many threads end at the same moment, the process ends once."""
    cgroup.run([compile_c(compiled, "all_threads_leave", ALL_THREADS_LEAVE), "300"])
    tracer.assert_all(per_kind(tracer.collect()), (300, 1, 301))


def test_killed_threads(cgroup: Cgroup, tracer: Tracer) -> None:
    """A process of many threads that is killed ends once, by that signal."""
    code = (
        "import os, threading, time\n"
        "for _ in range(20): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "os.kill(os.getpid(), 9)"
    )
    waited = Waited(cgroup, tracer, sys.executable, "-S", "-c", code)
    assert shape(waited.events) == ["fork", "exec", "exit"]
    assert waited.exit.exit_code == waited.status == signal.SIGKILL


def test_time_and_memory(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """CPU time and peak memory are those of getrusage(2), but for the last slice of CPU time."""
    waited = Waited(cgroup, tracer, compile_c(compiled, "burn_cpu", BURN_CPU), "200", "30")
    exited = waited.exit
    user_ns, system_ns = scale_cpu_times(exited.utime_ns, exited.stime_ns, exited.runtime_ns)
    assert user_ns + system_ns == exited.runtime_ns
    assert waited.cpu_seconds / 2 < exited.runtime_ns / 1e9 <= waited.cpu_seconds
    assert exited.max_rss_pages * PAGE_BYTES == waited.max_rss_kib * 1024
    assert exited.max_rss_pages * PAGE_BYTES > 30 << 20
