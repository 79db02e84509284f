"""Awkward things that processes do, each with exactly the events that it should have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentd.core.exit_status import read_exit_code
from agentd.core.wire.events import Exec, Exit
from agentd.core.wire.exec_context import PlaceReader
from tests.cgroup import Cgroup
from tests.kernel.c_programs import PID_AGAIN
from tests.kernel.loadgen import built_loadgen, loadgen_command
from tests.kernel.tracer import Tracer, applied, attached, events, name_of, of, shape
from tests.programs import compile_c
from tests.records import WIRE

ARGS_TRUNCATED = WIRE.constant("AGENTD_ARGS_TRUNCATED")
SCRIPT = WIRE.constant("AGENTD_SCRIPT")
PYTHON = os.path.realpath(sys.executable)

ZOMBIE = """
import os, sys
child = os.fork()
if not child:
    os._exit(7)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print(child, flush=True)
sys.stdin.read()
"""


@pytest.mark.usefixtures("transport")
def test_zombie_that_nobody_waits_for(cgroup: Cgroup) -> None:
    """It has exited, once, though /proc still lists it; found as a zombie, it is no process."""
    with cgroup.popen(
        [PYTHON, "-S", "-c", ZOMBIE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        zombie = int(parent.stdout.readline())
        with attached(cgroup.path) as late:
            assert late.pipeline.tree.living.at(zombie) is None
            assert late.pipeline.tree.living.at(parent.pid) is not None
        parent.communicate("")


def test_zombie_is_one_exit(cgroup: Cgroup, tracer: Tracer) -> None:
    """A process exits when it dies, not when its parent waits for it, and once."""
    with cgroup.popen(
        [PYTHON, "-S", "-c", ZOMBIE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        zombie = int(parent.stdout.readline())
        seen = of(tracer.collect(), zombie)
        parent.communicate("")
    assert shape(seen) == ["fork", "exit"]
    assert of(tracer.collect(), zombie) == []


def test_outliving_ten_thousand_siblings(cgroup: Cgroup, tracer: Tracer) -> None:
    """A process stays in the tree, with its parent, whoever else comes and goes."""
    command = loadgen_command(built_loadgen(), cgroup.folder, "--shape", "fork-exit")
    with cgroup.popen(["/bin/cat"], stdin=subprocess.PIPE) as survivor:
        tracer.collect()
        with subprocess.Popen([*command, "--count", "10000"], stdout=subprocess.DEVNULL) as load:
            while load.poll() is None:
                tracer.round()
        tracer.collect()
        process = tracer.pipeline.tree.living.at(survivor.pid)
        assert process is not None
        assert process.parent[0] == os.getpid()
        assert process.image.args == b"/bin/cat\0"


KILLED_BEFORE_EXEC = """
import os, signal
child = os.fork()
if not child:
    os.kill(os.getpid(), signal.SIGSTOP)
    os.execv("/bin/true", ["true"])
os.waitpid(child, os.WUNTRACED)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print(child)
"""


def test_killed_between_fork_and_exec(cgroup: Cgroup, tracer: Tracer) -> None:
    """It was forked and killed, and never ran anything of its own."""
    child = int(cgroup.run([PYTHON, "-S", "-c", KILLED_BEFORE_EXEC]).stdout)
    entries = tracer.collect()
    last = of(entries, child)[-1]
    assert shape(of(entries, child)) == ["fork", "exit"]
    assert isinstance(last, Exit)
    assert read_exit_code(last.exit_code).signal == signal.SIGKILL
    images = {a.image.executable for a in applied(entries) if a.event.tgid == child}
    assert images == {PYTHON.encode()}


def test_interpreter_of_an_interpreter(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """A script run by a script: the last interpreter runs, and the arguments tell of all."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("#!/bin/true -x\n")
    outer.write_text(f"#!{inner} -y\n")
    for script in (inner, outer):
        script.chmod(0o755)
    cgroup.run([str(outer), "z"])
    event = events(tracer.collect())[0]
    assert isinstance(event, Exec)
    assert event.path == os.path.realpath("/bin/true").encode()
    assert event.filename == os.fsencode(outer)
    expected = ["/bin/true", "-x", str(inner), "-y", str(outer), "z"]
    assert event.args.decode().split("\0")[:-1] == expected
    assert event.flags == SCRIPT


@pytest.mark.parametrize(("count", "length"), [(20, 100_000), (100_000, 10)])
def test_two_megabytes_of_arguments(
    cgroup: Cgroup, tracer: Tracer, count: int, length: int
) -> None:
    """What fits is there, how much there was is told, and so is how many arguments."""
    cgroup.run(["/bin/true", *["x" * length] * count])
    event = events(tracer.collect())[0]
    assert isinstance(event, Exec)
    assert event.args_total_bytes == len("/bin/true") + 1 + count * (length + 1)
    assert event.args_count == count + 1
    assert event.flags == ARGS_TRUNCATED
    whole = b"/bin/true\0" + (b"x" * length + b"\0") * count
    assert whole.startswith(event.args)
    assert len(event.args) == WIRE.constant("AGENTD_ARGS_MAX")


def test_pid_namespaces_in_pid_namespaces(cgroup: Cgroup, tracer: Tracer) -> None:
    """At each level a process has a pid and a namespace of its own; the tree has the host's."""
    unshare = ["/usr/bin/unshare", "--pid", "--fork"]
    cgroup.run([*unshare, *unshare, "/bin/true"])
    execs = [event for event in events(tracer.collect()) if isinstance(event, Exec)]
    places = [PlaceReader(WIRE).read(event.place) for event in execs]
    assert [name_of(event) for event in execs] == [b"unshare", b"unshare", b"true"]
    assert [event.ns_tgid for event in execs] == [execs[0].tgid, 1, 1]
    assert len({place.pid_ns for place in places}) == 3
    assert [event.parent_tgid for event in execs[1:]] == [event.tgid for event in execs[:2]]


def test_thousand_threads(cgroup: Cgroup, tracer: Tracer) -> None:
    """Threads are counted, and are no events."""
    before = sum(tracer.counters().threads)
    code = (
        "import threading\n"
        "b = threading.Barrier(1001)\n"
        "for _ in range(1000): threading.Thread(target=b.wait).start()\n"
        "b.wait()"
    )
    cgroup.run([PYTHON, "-c", code])
    assert shape(events(tracer.collect())) == ["exec", "exit"]
    assert sum(tracer.counters().threads) - before >= 1000


def test_one_pid_thousands_of_times(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """Each owner of a pid is a process of its own, with its own fork and exit, and none is left."""
    rounds = 3000
    program = compile_c(tmp_path, "pid-again", PID_AGAIN)
    done = cgroup.run([program, str(rounds)])
    if done.returncode:
        pytest.skip(f"needs clone3(2) with set_tid: {os.strerror(done.returncode)}")
    tgid = int(done.stdout)
    found = of(tracer.collect(), tgid)
    assert shape(found) == ["fork", "exit"] * rounds
    starts = [event.start_boottime_ns for event in found]
    assert starts[::2] == starts[1::2] == sorted(set(starts))
    assert len(set(starts)) == rounds
    tree = tracer.pipeline.tree
    assert tree.living.at(tgid) is None
    assert tree.misses["exit_missed"] == tree.misses["fork_after_exit"] == 0
