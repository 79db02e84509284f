"""Who a process is and whose child: taken in the kernel, so that nothing can be mistaken."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.core.wire.events import Event, Exec
from agentd.host import clock, procfs
from tests.cgroup import ENOUGH_SECONDS, Cgroup
from tests.kernel.c_programs import CLONE3, DO_NOTHING, SHARES_MEMORY
from tests.kernel.tracer import Tracer, applied, attached, events, of, shape
from tests.programs import compile_c

pytestmark = pytest.mark.usefixtures("transport")

PYTHON = sys.executable


@pytest.fixture
def clone3(compiled: Path) -> str:
    """The program that forks by clone3(2)."""
    return compile_c(compiled, "clone3", CLONE3)


def _key(event: Event) -> tuple[int, int]:
    return event.tgid, event.start_boottime_ns


def test_start_is_that_of_proc(cgroup: Cgroup, tracer: Tracer) -> None:
    """start_boottime_ns, rounded to a tick, is the start in /proc, for process and parent."""
    with cgroup.popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        entries = tracer.collect()
        start_ns = procfs.parse_stat(Path(f"/proc/{process.pid}/stat").read_bytes()).start_ns
        own_start_ns = procfs.parse_stat(Path("/proc/self/stat").read_bytes()).start_ns
    (executed,) = events(entries)
    tick_ns = clock.TICK_NS
    assert executed.start_boottime_ns // tick_ns * tick_ns == start_ns
    assert executed.parent_start_boottime_ns // tick_ns * tick_ns == own_start_ns


def test_key_is_one_from_fork_to_exit(cgroup: Cgroup, tracer: Tracer) -> None:
    """fork, execs and exit of a process carry one key, and its children that key as parent's."""
    cgroup.run(["/bin/sh", "-c", "/bin/sh -c 'exec /bin/sh -c \"/bin/true; :\"'; :"])
    found = events(tracer.collect())
    by_tgid = {event.tgid: [e for e in found if e.tgid == event.tgid] for event in found}
    assert [shape(own) for own in by_tgid.values()] == [
        ["exec", "exit"],
        ["fork", "exec", "exec", "exit"],
        ["fork", "exec", "exit"],
    ]
    outer, middle, inner = by_tgid.values()
    for own in (outer, middle, inner):
        assert len({_key(event) for event in own}) == 1
    for child, parent in ((middle, outer), (inner, middle)):
        for event in child:
            assert (event.parent_tgid, event.parent_start_boottime_ns) == _key(parent[0])


def test_pid_that_is_used_again(cgroup: Cgroup, tracer: Tracer, clone3: str) -> None:
    """Two processes with one pid are two processes: their keys differ by the start."""
    first = int(cgroup.run([clone3]).stdout)
    done = cgroup.run([clone3, "-t", str(first)])
    if done.returncode:
        pytest.skip(f"needs clone3(2) with set_tid: {os.strerror(done.returncode)}")
    assert int(done.stdout) == first
    entries = tracer.collect()
    found = of(entries, first)
    assert shape(found) == ["fork", "exit", "fork", "exit"]
    assert _key(found[0]) == _key(found[1]) != _key(found[2]) == _key(found[3])
    assert found[1].parent_tgid != found[3].parent_tgid


def test_child_of_its_creators_parent(cgroup: Cgroup, tracer: Tracer, clone3: str) -> None:
    """With CLONE_PARENT the child's parent is not who called clone, and the event says so."""
    told = cgroup.run(["/bin/sh", "-c", f"{clone3} -p; echo $$"]).stdout.split()
    child, shell = map(int, told)
    forked, _ = of(tracer.collect(), child)
    assert forked.parent_tgid == shell


def test_shared_memory_does_not_make_a_thread(
    cgroup: Cgroup, tracer: Tracer, compiled: Path
) -> None:
    """A child that shares its parent's memory (CLONE_VM) is a process with a pid of its own."""
    child = int(cgroup.run([compile_c(compiled, "shares_memory", SHARES_MEMORY)]).stdout)
    assert shape(of(tracer.collect(), child)) == ["fork", "exit"]


def test_pids_are_those_of_the_host(cgroup: Cgroup, tracer: Tracer) -> None:
    """In a pid namespace of its own a process has its pid of the initial one."""
    unshare = ["/usr/bin/unshare", "--pid", "--fork"]
    cgroup.run([*unshare, "/bin/sh", "-c", "/bin/true; :"])
    found = events(tracer.collect())
    assert shape(found) == ["exec", "fork", "exec", "fork", "exec", "exit", "exit", "exit"]
    outside, init, inside = found[0], found[1], found[3]
    assert init.parent_tgid == outside.tgid
    assert inside.parent_tgid == init.tgid
    assert len({1, 2, outside.tgid, init.tgid, inside.tgid}) == 5


ORPHAN = """
import os
middle = os.fork()
if not middle:
    parent = os.getpid()
    if not os.fork():
        while os.getppid() == parent:
            pass
        print(parent, os.getpid(), os.getppid(), flush=True)
    os._exit(0)
os.waitpid(middle, 0)
"""


def test_orphan_is_adopted(cgroup: Cgroup, tracer: Tracer) -> None:
    """After its parent's death a process exits as the child of whoever adopted it."""
    # the output ends when the orphan does, not with its grandparent
    middle, orphan, reaper = map(int, cgroup.run([PYTHON, "-S", "-c", ORPHAN]).stdout.split())
    forked, exited = of(tracer.collect(), orphan)
    assert (forked.parent_tgid, exited.parent_tgid) == (middle, reaper)
    assert reaper != middle


ADOPTION = """
import ctypes, os
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
reaper = os.getpid()
middle = os.fork()
if not middle:
    if not os.fork():
        while os.getppid() != reaper:
            pass
    os._exit(0)
os.waitpid(middle, 0)
orphan, _ = os.wait()
print(reaper, middle, orphan)
"""


def test_subreaper_adopts(cgroup: Cgroup, tracer: Tracer) -> None:
    """An orphan exits as the child of the nearest subreaper, here its grandparent."""
    done = cgroup.run([PYTHON, "-S", "-c", ADOPTION])
    reaper, middle, orphan = map(int, done.stdout.split())
    entries = tracer.collect()
    forked, exited = of(entries, orphan)
    assert (forked.parent_tgid, exited.parent_tgid) == (middle, reaper)
    last = next(a for a in applied(entries) if a.event is exited)
    assert last.parent_image is not None
    assert last.parent_image.executable == os.path.realpath(PYTHON).encode()


def test_set_user_id_program(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """The ids are effective ones: those that a set-user-id program has gained by its exec."""
    program = Path(compile_c(compiled, "set_user_id", DO_NOTHING))
    os.chown(program, 1234, 2345)
    program.chmod(0o755 | stat.S_ISUID | stat.S_ISGID)
    cgroup.run([str(program)])
    found = events(tracer.collect())
    assert [(event.uid, event.gid) for event in found] == [(1234, 2345)] * 2


def test_ids_of_a_child_that_changes_them(cgroup: Cgroup, tracer: Tracer) -> None:
    """A fork has its parent's ids, the exit those that the child has set since."""
    done = cgroup.run(
        [
            PYTHON,
            "-S",
            "-c",
            "import os\nchild = os.fork()\n"
            "if not child: os.setgid(77); os.setuid(66); os._exit(0)\n"
            "os.waitpid(child, 0); print(child)",
        ]
    )
    forked, exited = of(tracer.collect(), int(done.stdout))
    assert [(event.uid, event.gid) for event in (forked, exited)] == [(0, 0), (66, 77)]


def test_process_that_ran_before(cgroup: Cgroup) -> None:
    """A process found by the scan is the one that events name: parent's image and exact key."""
    command = ["/bin/sh", "-c", "read go; /bin/true; :"]
    with (
        cgroup.popen(command, stdin=subprocess.PIPE) as process,
        attached(cgroup.path) as tracer,
    ):
        process.communicate("go\n", timeout=ENOUGH_SECONDS)
        entries = tracer.collect()
    forked, execed, _, shell_exit = applied(entries)
    assert shape(events(entries)) == ["fork", "exec", "exit", "exit"]
    assert isinstance(execed.event, Exec)
    assert forked.event.parent_tgid == shell_exit.event.tgid == process.pid
    assert forked.event.parent_start_boottime_ns == shell_exit.event.start_boottime_ns
    assert forked.parent_image is not None
    assert forked.parent_image.executable == os.fsencode(Path("/bin/sh").resolve())
    assert forked.image.args == b"/bin/sh\0-c\0read go; /bin/true; :\0"
    assert tracer.pipeline.tree.misses == dict.fromkeys(tracer.pipeline.tree.misses, 0)
