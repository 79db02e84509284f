"""What an exec tells of its surroundings, against what the process itself can read in /proc."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import stat
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agentd.core.wire.events import Exec, Exit
from agentd.core.wire.exec_context import Place, PlaceReader
from tests.cgroup import Cgroup
from tests.kernel.c_programs import DO_NOTHING
from tests.kernel.tracer import Tracer, events
from tests.programs import compile_c
from tests.records import WIRE

PATH_TRUNCATED = WIRE.constant("AGENTD_PATH_TRUNCATED")
CWD_TRUNCATED = WIRE.constant("AGENTD_CWD_TRUNCATED")
SCRIPT = WIRE.constant("AGENTD_SCRIPT")
MEMFD = WIRE.constant("AGENTD_MEMFD")
UNLINKED = WIRE.constant("AGENTD_UNLINKED")
INTERACTIVE = WIRE.constant("AGENTD_INTERACTIVE")
TRUE = os.path.realpath("/bin/true")


class Terminal(NamedTuple):
    """The two ends of a pty; the follower is what a program has as its terminal."""

    leader: int
    follower: int


def _place(event: Exec) -> Place:
    return PlaceReader(WIRE).read(event.place)


def _execs(tracer: Tracer) -> list[Exec]:
    return [event for event in events(tracer.collect()) if isinstance(event, Exec)]


def _only_exec(cgroup: Cgroup, tracer: Tracer, *command: str, **options: object) -> Exec:
    cgroup.run(list(command), **options)
    (event,) = _execs(tracer)
    return event


@pytest.mark.parametrize("name", ["/bin/true", "./link", "folder/../link", "//bin/../bin/true"])
def test_path_is_that_of_the_file(
    cgroup: Cgroup, tracer: Tracer, tmp_path: Path, name: str
) -> None:
    """Links, relative names and detours end at the file that runs; the name stands as given."""
    (tmp_path / "link").symlink_to("/bin/true")
    (tmp_path / "folder").mkdir()
    event = _only_exec(cgroup, tracer, name, cwd=tmp_path)
    assert event.path == os.fsencode(TRUE)
    assert event.filename == os.fsencode(name)
    assert event.cwd == os.fsencode(tmp_path)
    assert event.flags == 0
    if _is_on_overlay(TRUE):  # whose files have other numbers for stat(2) than for the kernel
        return
    file = os.stat(TRUE)
    assert _place(event).exe_inode == file.st_ino
    assert (_place(event).exe_device >> 20, _place(event).exe_device & 0xFFFFF) == (
        os.major(file.st_dev),
        os.minor(file.st_dev),
    )


def _is_on_overlay(path: str) -> bool:
    found = subprocess.run(["stat", "-fc%T", path], capture_output=True, text=True, check=True)
    return found.stdout.strip() == "overlayfs"


def test_working_directory_is_the_root(cgroup: Cgroup, tracer: Tracer) -> None:
    """The root has no name and is a slash."""
    assert _only_exec(cgroup, tracer, "/bin/true", cwd="/").cwd == b"/"


@pytest.mark.parametrize("length", [1, 46, 47, 48, 200, 254, 255])
def test_names_of_any_length(cgroup: Cgroup, tracer: Tracer, tmp_path: Path, length: int) -> None:
    """A name may be as long as the file system allows."""
    folder = tmp_path / ("d" * length)
    folder.mkdir()
    (folder / "program").write_bytes(Path("/bin/true").read_bytes())
    (folder / "program").chmod(0o755)
    event = _only_exec(cgroup, tracer, str(folder / "program"), cwd=folder)
    assert (event.path, event.cwd) == (os.fsencode(folder / "program"), os.fsencode(folder))
    assert event.flags == 0


def test_path_that_is_too_long(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """Beyond the bound the names next to the file are kept, and the path is flagged as cut."""
    here = os.open(tmp_path, os.O_PATH)
    for _ in range(12):
        os.mkdir("d" * 200, dir_fd=here)
        here = os.open("d" * 200, os.O_PATH, dir_fd=here)
    file = os.open("program", os.O_CREAT | os.O_WRONLY, 0o755, dir_fd=here)
    os.write(file, Path("/bin/true").read_bytes())
    os.close(file)
    event = _only_exec(cgroup, tracer, "./program", cwd=f"/proc/{os.getpid()}/fd/{here}")
    assert event.flags == PATH_TRUNCATED | CWD_TRUNCATED
    assert event.path.endswith(b"/" + b"d" * 200 + b"/program")
    assert event.cwd.endswith(b"d" * 200)
    assert not event.path.startswith(b"/")
    assert os.fsencode(os.readlink(f"/proc/self/fd/{here}")).endswith(event.cwd)


def test_path_in_a_mount(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """A path goes on above the roots of mounts, also of mounts in mounts."""
    (tmp_path / "a").mkdir()
    script = (
        'mount -t tmpfs none "$0" && mkdir "$0/b" && mount -t tmpfs none "$0/b" &&'
        ' cp /bin/true "$0/b/program" && cd "$0/b" && exec ./program'
    )
    cgroup.run(["/usr/bin/unshare", "--mount", "/bin/sh", "-c", script, str(tmp_path / "a")])
    last = _execs(tracer)[-1]
    assert last.path == os.fsencode(tmp_path / "a/b/program")
    assert last.cwd == os.fsencode(tmp_path / "a/b")


def test_path_in_a_chroot(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """The path is that of the mount namespace, not of the process's own root."""
    root = Path(compile_c(compiled, "do_nothing", DO_NOTHING, "-static")).parent
    cgroup.run(["/usr/sbin/chroot", str(root), "/do_nothing"])
    last = _execs(tracer)[-1]
    assert last.path == os.fsencode(root / "do_nothing")
    assert last.filename == b"/do_nothing"
    assert last.cwd == os.fsencode(root)


def test_script(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """Of a script the interpreter runs; the script is the name as given."""
    script = tmp_path / "script"
    script.write_text("#!/bin/true\n")
    script.chmod(0o755)
    event = _only_exec(cgroup, tracer, str(script))
    assert (event.path, event.filename) == (os.fsencode(TRUE), os.fsencode(script))
    assert event.flags == SCRIPT


EXEC_UNLINKED = """
import os, sys
source = open("/bin/true", "rb").read()
if sys.argv[1] == "memfd":
    fd = os.memfd_create("hidden", os.MFD_CLOEXEC)
    os.write(fd, source)
else:
    with open(sys.argv[1], "wb") as file:
        file.write(source)
    os.chmod(sys.argv[1], 0o755)
    fd = os.open(sys.argv[1], os.O_RDONLY | os.O_CLOEXEC)
    os.unlink(sys.argv[1])
os.execve(fd, ["gone"], {})
"""


@pytest.mark.parametrize("kind", ["memfd", "deleted"])
def test_file_without_a_name(cgroup: Cgroup, tracer: Tracer, tmp_path: Path, kind: str) -> None:
    """A memfd, or a file that was deleted, is flagged, with the name that it has or had."""
    gone = str(tmp_path / "gone")
    argument = "memfd" if kind == "memfd" else gone
    cgroup.run(["/usr/bin/python3", "-c", EXEC_UNLINKED, argument])
    last = _execs(tracer)[-1]
    assert last.flags == UNLINKED | (MEMFD if kind == "memfd" else 0)
    assert last.path == (b"/memfd:hidden" if kind == "memfd" else os.fsencode(gone))
    assert _place(last).exe_inode > 0


def test_who_it_is(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """A setuid program runs as its owner; who started it is the real user."""
    program = Path(compile_c(compiled, "setuid", DO_NOTHING))
    os.chown(program, 1234, 5678)
    program.chmod(0o755 | stat.S_ISUID | stat.S_ISGID)
    event = _only_exec(cgroup, tracer, str(program))
    assert (event.uid, event.gid) == (1234, 5678)
    assert (_place(event).real_uid, _place(event).real_gid) == (0, 0)


def _of_itself(cgroup: Cgroup, tracer: Tracer, *prefix: str) -> tuple[Exec, dict[str, str]]:
    """The exec of a program that tells what /proc says of it, and that."""
    script = "cat /proc/self/status; for n in mnt pid; do readlink /proc/self/ns/$n; done"
    done = cgroup.run(
        [*prefix, "/usr/bin/env", "-i", "/bin/bash", "-c", f"PATH=/usr/bin; {script}"]
    )
    lines = [line.partition(":") for line in done.stdout.splitlines()]
    told = {name: value.strip().strip("[]") for name, _, value in lines}
    cat = next(event for event in _execs(tracer) if event.comm.startswith(b"cat\0"))
    return cat, told


def test_capabilities_and_login(cgroup: Cgroup, tracer: Tracer) -> None:
    """Capabilities are those of /proc/PID/status, login uid and audit session those of /proc."""
    event, told = _of_itself(cgroup, tracer)
    assert _place(event).caps_effective == int(told["CapEff"], 16)
    assert _place(event).caps_permitted == int(told["CapPrm"], 16)
    assert _place(event).login_uid == int(Path("/proc/self/loginuid").read_text())
    assert _place(event).audit_session == int(Path("/proc/self/sessionid").read_text())


def test_namespaces(cgroup: Cgroup, tracer: Tracer) -> None:
    """Namespaces have the numbers of /proc/PID/ns, a process the pid that it has inside."""
    event, told = _of_itself(cgroup, tracer)
    assert (_place(event).mnt_ns, _place(event).pid_ns) == (int(told["mnt"]), int(told["pid"]))
    assert event.ns_tgid == int(told["NStgid"].split()[-1])
    command = ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "/bin/true"]
    cgroup.run(command)
    inside = _execs(tracer)[-1]
    assert inside.ns_tgid == 1 != inside.tgid
    assert _place(inside).pid_ns != _place(event).pid_ns
    assert _place(inside).mnt_ns != _place(event).mnt_ns


def test_cgroup(cgroup: Cgroup, tracer: Tracer) -> None:
    """The cgroup is named by its inode."""
    below = Cgroup(f"{cgroup.path.strip('/')}/below")
    below.folder.mkdir(exist_ok=True)
    event = _only_exec(below, tracer, "/bin/true")
    assert _place(event).cgroup_id == below.folder.stat().st_ino


def test_process_group_and_session(cgroup: Cgroup, tracer: Tracer) -> None:
    """A process belongs to the group and session of their leaders."""
    event = _only_exec(cgroup, tracer, "/bin/true")
    assert (event.process_group, event.session) == (os.getpgid(0), os.getsid(0))
    event = _only_exec(cgroup, tracer, "/bin/true", start_new_session=True)
    assert (event.process_group, event.session) == (event.tgid, event.tgid)
    event = _only_exec(cgroup, tracer, "/bin/true", process_group=0)
    assert (event.process_group, event.session) == (event.tgid, os.getsid(0))


def test_terminal(cgroup: Cgroup, tracer: Tracer) -> None:
    """The controlling terminal has its name and its numbers; without one there is none."""
    leader, follower = pty.openpty()
    name = os.ttyname(follower).removeprefix("/dev/")
    numbers = os.fstat(follower).st_rdev

    def control() -> None:
        os.setsid()
        fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
        (cgroup.folder / "cgroup.procs").write_text(str(os.getpid()))

    subprocess.run(["/bin/true"], preexec_fn=control, check=True)
    (event,) = _execs(tracer)
    assert _place(event).tty.rstrip(b"\0").decode() == name.replace("/", "")
    assert _place(event).tty_device == os.major(numbers) << 20 | os.minor(numbers)
    event = _only_exec(cgroup, tracer, "/bin/true", start_new_session=True)
    assert (_place(event).tty, _place(event).tty_device) == (bytes(16), 0)
    os.close(leader)
    os.close(follower)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal that nobody has yet."""
    leader, follower = pty.openpty()
    with os.fdopen(leader), os.fdopen(follower):
        yield Terminal(leader, follower)


def _nothing(terminal: Terminal) -> None:
    pass


def _pipe_on_stdin(terminal: Terminal) -> None:
    os.dup2(os.pipe()[0], 0)


def _null_on_stderr(terminal: Terminal) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _socket_on_stderr(terminal: Terminal) -> None:
    os.dup2(socket.socket().detach(), 2)


def _no_stdin(terminal: Terminal) -> None:
    os.close(0)


def _no_streams(terminal: Terminal) -> None:
    os.closerange(0, 3)


def _by_another_name(terminal: Terminal) -> None:
    for fd in (0, 2):
        os.dup2(os.open("/dev/tty", os.O_RDWR), fd)


def _another_terminal(terminal: Terminal) -> None:
    os.dup2(os.open(os.ttyname(os.openpty()[1]), os.O_RDWR | os.O_NOCTTY), 0)


def _its_other_end(terminal: Terminal) -> None:
    os.dup2(terminal.leader, 2)


@pytest.mark.parametrize(
    ("change", "is_interactive"),
    [
        (_nothing, True),
        (_by_another_name, True),
        (_pipe_on_stdin, False),
        (_null_on_stderr, False),
        (_socket_on_stderr, False),
        (_no_stdin, False),
        (_no_streams, False),
        (_another_terminal, False),
        (_its_other_end, False),
    ],
)
def test_interactive(
    cgroup: Cgroup,
    tracer: Tracer,
    terminal: Terminal,
    change: Callable[[Terminal], None],
    is_interactive: bool,
) -> None:
    """Who has its controlling terminal as stdin and as stderr is interactive."""
    assert _flags_on(cgroup, tracer, terminal, change) == (INTERACTIVE if is_interactive else 0)


def _flags_on(
    cgroup: Cgroup, tracer: Tracer, terminal: Terminal, change: Callable[[Terminal], None]
) -> int:
    """The flags of an exec with a controlling terminal as its streams, and one thing changed."""

    def control() -> None:
        os.setsid()
        fcntl.ioctl(terminal.follower, termios.TIOCSCTTY, 0)
        (cgroup.folder / "cgroup.procs").write_text(str(os.getpid()))
        change(terminal)

    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.follower)
    subprocess.run(["/bin/true"], preexec_fn=control, check=True, **streams)  # type: ignore[call-overload]
    (event,) = _execs(tracer)
    assert _place(event).tty_device
    return event.flags


def test_a_terminal_that_controls_nobody(
    cgroup: Cgroup, tracer: Tracer, terminal: Terminal
) -> None:
    """A terminal as stdin and stderr of a session that has none is not interactive."""
    streams = dict.fromkeys(("stdin", "stderr"), terminal.follower)
    event = _only_exec(cgroup, tracer, "/bin/true", start_new_session=True, **streams)
    assert (event.flags, _place(event).tty_device) == (0, 0)


def test_bytes_of_storage(cgroup: Cgroup, tracer: Tracer, tmp_path: Path) -> None:
    """At its exit a process has read and written what /proc/PID/io says of the dead."""
    file = tmp_path / "file"
    command = ["/bin/dd", "if=/dev/zero", f"of={file}", "bs=64k", "count=4", "conv=fsync"]
    with cgroup.popen(command, stderr=subprocess.DEVNULL) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        text = Path(f"/proc/{process.pid}/io").read_text()
    io = dict(line.split(": ") for line in text.splitlines())
    last = events(tracer.collect())[-1]
    assert isinstance(last, Exit)
    assert (last.read_bytes, last.written_bytes) == (int(io["read_bytes"]), int(io["write_bytes"]))
