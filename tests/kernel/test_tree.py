"""At rest the tree is what /proc shows, for every shape of processes, while they live."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from agentd.core.tree.process import Process
from tests.cgroup import Cgroup
from tests.kernel.agreement import Facts, at_rest, held, in_tree
from tests.kernel.tracer import Tracer, attached

pytestmark = pytest.mark.usefixtures("transport")

PYTHON = os.path.realpath(sys.executable)

# Processes stay until their input ends. clone3(2) has one number everywhere.
TOOLS = """
import ctypes, os, signal, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def hold():
    os.read(0, 1)
    os._exit(0)
def clone3(flags):
    ending = 0 if flags & CLONE_PARENT else signal.SIGCHLD  # that is its creator's
    values = [flags, 0, 0, 0, ending, 0, 0, 0]
    pid = libc.syscall(435, (ctypes.c_uint64 * 8)(*values), 64)
    return pid if pid >= 0 else sys.exit(ctypes.get_errno())
def until_adopted(parent):
    while os.getppid() == parent:
        pass
    hold()
def be_subreaper():
    assert libc.prctl(36, 1, 0, 0, 0) == 0
CLONE_PARENT = 0x8000
"""

SHAPES: dict[str, tuple[int, str]] = {
    "fork": (2, "os.fork() or hold()"),
    "vfork": (2, "child = subprocess.Popen(['/bin/cat'])"),
    "posix_spawn": (2, "os.posix_spawn('/bin/cat', ['cat'], {})"),
    "clone3": (2, "clone3(0) or os.execv('/bin/cat', ['cat'])"),
    "CLONE_PARENT": (
        3,
        "if not os.fork():\n    clone3(CLONE_PARENT) or hold()\n    hold()",
    ),
    "CLONE_PARENT, and its creator gone": (
        2,
        "child = os.fork()\n"
        "if not child:\n    clone3(CLONE_PARENT) or hold()\n    os._exit(0)\nos.waitpid(child, 0)",
    ),
    "a thread's child": (
        2,
        "t = threading.Thread(target=lambda: os.fork() or hold())\nt.start(); t.join()",
    ),
    "exec chain": (2, "os.posix_spawn('/bin/sh', ['sh', '-c', 'exec sh -c \"exec cat\"'], {})"),
    "child of a shell that has gone": (
        2,
        "subprocess.run(['/bin/sh', '-c', 'cat <&3 & sleep 0.05'], pass_fds=[3])",
    ),
    "double fork": (
        2,
        "middle = os.fork()\n"
        "if not middle:\n"
        "    me = os.getpid()\n    os.fork() or until_adopted(me)\n    os._exit(0)\n"
        "os.waitpid(middle, 0)",
    ),
    "orphan of a thread": (
        2,
        "middle = os.fork()\n"
        "if not middle:\n    me = os.getpid()\n"
        "    t = threading.Thread(target=lambda: os.fork() and hold() or until_adopted(me))\n"
        "    t.start()\n    import time; time.sleep(0.05); os._exit(0)\n"
        "os.waitpid(middle, 0)",
    ),
    "subreaper": (
        2,
        "be_subreaper()\nmiddle = os.fork()\n"
        "if not middle:\n"
        "    me = os.getpid()\n    os.fork() or until_adopted(me)\n    os._exit(0)\n"
        "os.waitpid(middle, 0)",
    ),
    "subreaper that goes after its child": (
        2,
        "be_subreaper()\nreaper = os.fork()\n"
        "if not reaper:\n"
        "    be_subreaper()\n    me = os.getpid()\n    middle = os.fork()\n"
        "    if not middle:\n"
        "        mine = os.getpid()\n        orphan = os.fork()\n"
        "        if not orphan:\n"
        "            while os.getppid() == mine: pass\n"
        "            os.kill(me, signal.SIGKILL)\n"
        "            hold()\n"
        "        os._exit(0)\n"
        "    hold()\n"
        "os.waitpid(reaper, 0)",
    ),
    "subreaper above a long line": (
        2,
        "be_subreaper()\nfirst = os.getpid()\n"
        "for _ in range(40):\n"
        "    child = os.fork()\n"
        "    if child:\n        os.waitpid(child, 0)\n        break\n"
        "else:\n"
        "    me = os.getpid()\n    os.fork() or until_adopted(me)\n    os._exit(0)\n"
        "if os.getpid() != first: os._exit(0)",
    ),
    "subreaper of another pid namespace": (
        5,
        "be_subreaper()\n"
        "os.posix_spawn('/usr/bin/unshare', ['unshare', '--pid', '--fork', 'sh', '-c',"
        " '(cat <&3 & exec true); cat <&3'], {})",
    ),
    "pid namespaces in pid namespaces": (
        6,
        "os.posix_spawn('/usr/bin/unshare', ['unshare', '--pid', '--fork', 'unshare', '--pid',"
        " '--fork', 'sh', '-c', '(cat <&3 & exec true); cat <&3'], {})",
    ),
}
"""How many live at rest, and what the first of them does before it holds."""


def _skip_if_left_out(tracer: Tracer) -> None:
    """Where the kernel left out runs of the programs, events are missing."""
    if any(tracer.capture.skipped_runs()):
        pytest.skip("this kernel leaves out runs of the programs")


def _python(code: str) -> list[str]:
    return [PYTHON, "-S", "-c", f"{TOOLS}{code}\nhold()"]


def _check(tracer: Tracer, cgroup: Cgroup, count: int) -> dict[int, Facts]:
    """Tree and /proc agree, with nothing inferred."""
    there = at_rest(cgroup, count)
    tracer.collect()
    if in_tree(tracer) != there:
        _skip_if_left_out(tracer)
    assert in_tree(tracer) == there
    return there


@pytest.mark.parametrize("name", SHAPES)
def test_tree_of_a_shape(cgroup: Cgroup, tracer: Tracer, name: str) -> None:
    """Who lives, since when, whose child it is now and what it runs."""
    count, code = SHAPES[name]
    with held(cgroup, _python(code)):
        _check(tracer, cgroup, count)
    _check(tracer, cgroup, 0)


def test_tree_of_scripts(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """An interpreter of an interpreter is what runs."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("#!/bin/cat -\n")
    outer.write_text(f"#!{inner}\n")
    for script in (inner, outer):
        script.chmod(0o755)
    with held(cgroup, [str(outer)]):
        facts = _check(tracer, cgroup, 1)
    assert [executable for _, _, executable in facts.values()] == [b"/usr/bin/cat"]


def test_orphans_that_were_there_before(cgroup: Cgroup) -> None:
    """Found in /proc, with parents known to the tick, and adopted without an event of their own."""
    code = (
        "middle = os.fork()\n"
        "if not middle:\n    os.fork() or hold()\n    os.read(3, 1)\n    os._exit(0)\n"
        "os.waitpid(middle, 0)"
    )
    with held(cgroup, _python(code)) as process:
        at_rest(cgroup, 3)
        with attached(cgroup.path) as tracer:
            assert process.stdin is not None
            _check(tracer, cgroup, 3)
            process.stdin.write("x")
            process.stdin.flush()
            _check(tracer, cgroup, 2)


def test_creator_of_a_child_of_its_creators_parent(cgroup: Cgroup, tracer: Tracer) -> None:
    """With CLONE_PARENT the tree has both, and the child runs what its creator ran."""
    code = (
        "if not os.fork():\n"
        "    libc.prctl(15, b'creator', 0, 0, 0)\n"
        "    clone3(CLONE_PARENT) or hold()\n    hold()"
    )
    with held(cgroup, _python(code)) as process:
        _check(tracer, cgroup, 3)
        first, creator, child = sorted(
            (p for p in tracer.pipeline.tree.living.values() if p.inside), key=_by_start
        )
    assert first.key[0] == process.pid
    assert child.parent == creator.parent == first.key
    assert (creator.creator, child.creator) == (first, creator)
    assert child.image.name == b"creator"


def _by_start(process: Process) -> int:
    return process.key[1]
