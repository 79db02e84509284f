"""Known shapes of processes come out as exactly those events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.core.exit_status import read_exit_code
from agentd.core.pipeline import Entry
from agentd.core.wire.events import Exec, Exit, Fork
from tests.cgroup import Cgroup
from tests.kernel.c_programs import EXEC_FROM_THREAD
from tests.kernel.tracer import Tracer, applied, events, name_of, of, shape
from tests.programs import compile_c

PYTHON = sys.executable
REAL_PYTHON = os.fsencode(os.path.realpath(PYTHON))


def _python(cgroup: Cgroup, code: str) -> dict[str, int]:
    """Run Python code in the cgroup; what it prints last as JSON."""
    done = cgroup.run([PYTHON, "-S", "-c", code])
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result


def _last_exit(entries: list[Entry]) -> Exit:
    exited = events(entries)[-1]
    assert isinstance(exited, Exit)
    return exited


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
    assert name_of(executed) == b"true"
    assert exited.exit_code == 0
    assert exited.max_rss_pages > 0
    assert executed.start_boottime_ns == exited.start_boottime_ns < executed.boottime_ns


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
    assert images == [REAL_PYTHON, REAL_PYTHON]


@pytest.mark.parametrize("how", ["vfork", "posix_spawn", "fork"])
def test_ways_to_start_a_child(cgroup: Cgroup, tracer: Tracer, how: str) -> None:
    """vfork, posix_spawn and fork with exec are each one fork, one exec and one exit."""
    start = {
        "vfork": "import subprocess\nchild = (kept := subprocess.Popen(['/bin/true'])).pid",
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


def test_exec_that_fails(cgroup: Cgroup, tracer: Tracer) -> None:
    """An exec that fails is no event."""
    cgroup.run(["/bin/sh", "-c", "/no/such/program"], stderr=subprocess.DEVNULL)
    entries = tracer.collect()
    assert "exec" not in shape(events(entries))[1:]
    assert read_exit_code(_last_exit(entries).exit_code).status == 127


def test_pipeline(cgroup: Cgroup, tracer: Tracer) -> None:
    """A shell's pipeline: every part is a child of the shell, and nothing has another's name."""
    cgroup.run(["/bin/sh", "-c", "/bin/echo a | /bin/cat | /usr/bin/wc -c"])
    entries = tracer.collect()
    shell = events(entries)[0].tgid
    children = {event.tgid: event for event in events(entries) if isinstance(event, Fork)}
    assert {event.parent_tgid for event in children.values()} == {shell}
    ends = [a for a in applied(entries) if isinstance(a.event, Exit) and a.event.tgid in children]
    assert sorted(a.image.name for a in ends) == [b"cat", b"echo", b"wc"]
    assert all(a.parent_image and a.parent_image.name == b"sh" for a in ends)


GENERATIONS = """
import json, os
first = os.getpid()
for generation in range(100):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        if os.getpid() == first:
            print(json.dumps({"first": first}), flush=True)
        os._exit(0)
"""


def test_generations(cgroup: Cgroup, tracer: Tracer) -> None:
    """A hundred generations of forks are a chain: the parent of each is the one before."""
    told = _python(cgroup, GENERATIONS)
    forks = [event for event in events(tracer.collect()) if isinstance(event, Fork)]
    assert len(forks) == 100
    chain = [told["first"], *(event.tgid for event in forks)]
    assert [event.parent_tgid for event in forks] == chain[:-1]


def test_name_that_a_process_gives_itself(cgroup: Cgroup, tracer: Tracer) -> None:
    """A process that renames itself (prctl) gives its children the new name."""
    told = _python(
        cgroup,
        "import ctypes, json, os\nctypes.CDLL(None).prctl(15, b'renamed', 0, 0, 0)\n"
        "child = os.fork()\nif not child: os._exit(0)\n"
        "os.waitpid(child, 0); print(json.dumps({'child': child}))",
    )
    entries = tracer.collect()
    images = [a.image for a in applied(entries) if a.event.tgid == told["child"]]
    assert [image.name for image in images] == [b"renamed"] * 2
    assert [image.executable for image in images] == [REAL_PYTHON] * 2


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


def test_exec_from_another_thread(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """An exec by a thread that is not the leader is the process's exec, under its own key."""
    with cgroup.popen([compile_c(compiled, "exec_from_thread", EXEC_FROM_THREAD)]) as process:
        process.wait()
    found = events(tracer.collect())
    assert shape(found) == ["exec", "exec", "exit"]
    assert {event.tgid for event in found} == {process.pid}
    assert len({event.start_boottime_ns for event in found}) == 1
