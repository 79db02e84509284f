"""Known shapes of processes come out as exactly those events."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from agentd import procfs
from agentd.core.ending import read_exit_code
from agentd.core.event import Exec, Exit, Fork
from tests.cgroup import Cgroup, own_cgroup
from tests.kernel.tracer import Tracer, applied, events, of, shape
from tests.programs import compile_c

PYTHON = sys.executable


def _python(cgroup: Cgroup, code: str) -> dict[str, int]:
    """Run Python code in the cgroup; what it prints last as JSON."""
    done = cgroup.run([PYTHON, "-S", "-c", code])
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_exec_and_exit_of_one_command(cgroup: Cgroup, tracer: Tracer) -> None:
    """A command that enters the cgroup is an exec and an exit, with all they say."""
    with cgroup.popen(["/bin/true", "a b", ""]) as process:
        process.wait()
    entries = tracer.collect()
    executed, exited = events(entries)
    assert isinstance(executed, Exec)
    assert isinstance(exited, Exit)
    assert executed.tgid == exited.tgid == process.pid
    assert executed.parent_tgid == os.getpid()
    assert executed.filename == b"/bin/true"
    assert executed.args == b"/bin/true\0a b\0\0"
    assert executed.args_count == 3
    assert executed.args_total_bytes == executed.args_bytes
    assert executed.comm.rstrip(b"\0") == b"true"
    assert exited.exit_code == 0
    assert exited.max_rss_pages > 0
    assert executed.start_boottime_ns == exited.start_boottime_ns < executed.boottime_ns


def test_start_is_that_of_proc(cgroup: Cgroup, tracer: Tracer) -> None:
    """start_boottime_ns, rounded to a tick, is the start in /proc, for process and parent."""
    with cgroup.popen(["/bin/cat"], stdin=-1) as process:
        entries = tracer.collect()
        _, _, start_ns = procfs.parse_stat(Path(f"/proc/{process.pid}/stat").read_bytes())
        _, _, own_start_ns = procfs.parse_stat(Path("/proc/self/stat").read_bytes())
    (executed,) = events(entries)
    tick_ns = procfs.TICK_NS
    assert executed.start_boottime_ns // tick_ns * tick_ns == start_ns
    assert executed.parent_start_boottime_ns // tick_ns * tick_ns == own_start_ns
    tracer.collect()


def test_fork_without_exec(cgroup: Cgroup, tracer: Tracer) -> None:
    """A child that never execs is a fork and an exit, under its parent's image."""
    told = _python(
        cgroup,
        "import os, json\npid = os.fork()\n"
        "if not pid: os._exit(7)\n"
        "os.waitpid(pid, 0); print(json.dumps({'child': pid, 'parent': os.getpid()}))",
    )
    entries = tracer.collect()
    forked, exited = of(entries, told["child"])
    assert isinstance(forked, Fork)
    assert isinstance(exited, Exit)
    assert forked.parent_tgid == told["parent"]
    assert read_exit_code(exited.exit_code).status == 7
    images = [a.image.executable for a in applied(entries) if a.event.tgid == told["child"]]
    assert images == [PYTHON.encode(), PYTHON.encode()]


@pytest.mark.parametrize("how", ["vfork", "posix_spawn", "fork"])
def test_ways_to_start_a_child(cgroup: Cgroup, tracer: Tracer, how: str) -> None:
    """vfork, posix_spawn and fork with exec are each one fork, one exec and one exit."""
    start = {
        "vfork": "import subprocess\nchild = subprocess.Popen(['/bin/true']).pid",
        "posix_spawn": "child = os.posix_spawn('/bin/true', ['true'], {})",
        "fork": "child = os.fork()\nif not child: os.execv('/bin/true', ['true'])",
    }[how]
    told = _python(
        cgroup,
        f"import os, json\n{start}\nos.waitpid(child, 0)\nprint(json.dumps({{'child': child}}))",
    )
    assert shape(of(tracer.collect(), told["child"])) == ["fork", "exec", "exit"]


def test_exec_chain_in_one_pid(cgroup: Cgroup, tracer: Tracer) -> None:
    """A process that execs again and again changes its image, all but the first time."""
    cgroup.run(["/bin/sh", "-c", "exec /bin/sh -c 'exec /bin/true'"])
    entries = tracer.collect()
    assert shape(events(entries)) == ["exec", "exec", "exec", "exit"]
    assert [a.changed for a in applied(entries)] == [False, True, True, False]
    names = [a.image.name for a in applied(entries)]
    assert names == [b"sh", b"sh", b"true", b"true"]


def test_first_exec_after_fork_is_no_change(cgroup: Cgroup, tracer: Tracer) -> None:
    """A child's first exec is a start, its second a change."""
    told = _python(
        cgroup,
        "import os, json\nchild = os.posix_spawn('/bin/sh', ['sh', '-c', 'exec /bin/true'], {})\n"
        "os.waitpid(child, 0)\nprint(json.dumps({'child': child}))",
    )
    entries = tracer.collect()
    execs = [a for a in applied(entries) if a.event.tgid == told["child"]]
    assert [a.changed for a in execs if isinstance(a.event, Exec)] == [False, True]


def test_script_is_named_as_given(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """Of a #! script the event has the script's name and the interpreter's arguments."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n:\n")
    script.chmod(0o755)
    cgroup.run([str(script), "x"])
    executed = events(tracer.collect())[0]
    assert isinstance(executed, Exec)
    assert executed.filename == os.fsencode(script)
    assert executed.args == b"/bin/sh\0" + os.fsencode(script) + b"\0x\0"


def test_credentials_are_those_of_the_process(cgroup: Cgroup, tracer: Tracer) -> None:
    """uid and gid are the effective ones."""
    cgroup.run(["/usr/bin/setpriv", "--reuid=1234", "--regid=2345", "--clear-groups", "/bin/true"])
    last = events(tracer.collect())[-1]
    assert (last.uid, last.gid) == (1234, 2345)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_death_by_signal(cgroup: Cgroup, tracer: Tracer, number: signal.Signals) -> None:
    """The exit code says which signal ended a process."""
    cgroup.run(["/bin/sh", "-c", f"kill -{number.value} $$"])
    exited = events(tracer.collect())[-1]
    assert isinstance(exited, Exit)
    ending = read_exit_code(exited.exit_code)
    assert (ending.status, ending.signal) == (None, number.value)


@pytest.mark.parametrize("status", [0, 1, 127, 255])
def test_exit_status(cgroup: Cgroup, tracer: Tracer, status: int) -> None:
    """The exit code holds the status."""
    cgroup.run(["/bin/sh", "-c", f"exit {status}"])
    exited = events(tracer.collect())[-1]
    assert isinstance(exited, Exit)
    assert read_exit_code(exited.exit_code) == (status, None, False)


def test_threads_are_no_processes(cgroup: Cgroup, tracer: Tracer) -> None:
    """A hundred threads are counted, and are no events."""
    before = sum(tracer.counters().threads)
    cgroup.run(
        [
            PYTHON,
            "-S",
            "-c",
            "import threading\nts = [threading.Thread(target=int) for _ in range(100)]\n"
            "for t in ts: t.start()\nfor t in ts: t.join()",
        ]
    )
    assert shape(events(tracer.collect())) == ["exec", "exit"]
    assert sum(tracer.counters().threads) - before >= 100


LEADER_LEAVES = r"""
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *other(void *unused)
{
	usleep(50000);
	exit(5);
}
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, other, NULL);
	pthread_exit(NULL);
}
"""


def test_leader_leaves_before_the_last_thread(
    cgroup: Cgroup, tracer: Tracer, compiled: Path
) -> None:
    """A process ends once, with its last thread, though its leader left before."""
    cgroup.run([compile_c(compiled, "leader_leaves", LEADER_LEAVES)])
    found = events(tracer.collect())
    assert shape(found) == ["exec", "exit"]
    assert isinstance(found[1], Exit)
    assert read_exit_code(found[1].exit_code).status == 5
    assert found[1].boottime_ns - found[0].boottime_ns > 40_000_000


EXEC_FROM_THREAD = r"""
#include <pthread.h>
#include <unistd.h>
static void *other(void *unused)
{
	execl("/bin/true", "true", "from-thread", NULL);
	return NULL;
}
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, other, NULL);
	pause();
}
"""


def test_exec_from_another_thread(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """An exec by a thread that is not the leader is the process's exec, under its own key."""
    with cgroup.popen([compile_c(compiled, "exec_from_thread", EXEC_FROM_THREAD)]) as process:
        process.wait()
    found = events(tracer.collect())
    assert shape(found) == ["exec", "exec", "exit"]
    assert {event.tgid for event in found} == {process.pid}
    assert len({event.start_boottime_ns for event in found}) == 1


def test_orphan_is_adopted(cgroup: Cgroup, tracer: Tracer) -> None:
    """After its parent's death a process exits as the child of whoever adopted it."""
    told = _python(
        cgroup,
        "import os, json, time\nr, w = os.pipe()\npid = os.fork()\n"
        "if not pid:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        parent = os.getppid()\n"
        "        while os.getppid() == parent: time.sleep(0.005)\n"
        "        os.write(w, b'%d %d' % (os.getpid(), os.getppid())); os._exit(0)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\ngrand, reaper = map(int, os.read(r, 99).split())\n"
        "time.sleep(0.05)\n"
        "print(json.dumps({'creator': pid, 'grandchild': grand, 'reaper': reaper}))",
    )
    forked, exited = of(tracer.collect(), told["grandchild"])
    assert forked.parent_tgid == told["creator"]
    assert exited.parent_tgid == told["reaper"]


def test_subtree_is_kept_and_siblings_are_filtered(cgroup: Cgroup, tracer: Tracer) -> None:
    """A cgroup below the filtered one belongs to it, one beside it does not and is counted."""
    below = Cgroup(f"{cgroup.path.strip('/')}/below")
    below.folder.mkdir()
    below.run(["/bin/true", "below"])
    assert shape(events(tracer.collect())) == ["exec", "exit"]
    filtered = [sum(kind) for kind in tracer.counters().filtered]
    with own_cgroup("beside") as beside:
        beside.run(["/bin/true", "beside"])
    assert events(tracer.collect()) == []
    assert [sum(kind) for kind in tracer.counters().filtered] > filtered
