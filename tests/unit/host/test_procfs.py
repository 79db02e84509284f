"""agentd.host.procfs and agentd.host.system"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.tree.process import Image
from agentd.host import clock, procfs, program_counts
from tests.programs import compile_c
from tests.records import WIRE

STAT = " S 7 5 6 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 0 0"

LEADER_LEAVES_OTHERS_STAY = r"""
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *other(void *unused)
{
	usleep(50000);
	puts("left");
	fflush(stdout);
	pause();
	return unused;
}
int main(void)
{
	pthread_t thread;
	pthread_create(&thread, NULL, other, NULL);
	syscall(SYS_exit, 0);
}
"""


def _process(proc: Path, pid: int, name: str, ppid: int, ticks: int) -> Path:
    folder = proc / str(pid)
    folder.mkdir()
    text = f"{pid} ({name})" + STAT.replace(" 7 ", f" {ppid} ", 1).format(ticks=ticks)
    (folder / "stat").write_text(text)
    return folder


@pytest.mark.parametrize("name", ["bash", "a b", "x) S 1 (y", "new\nline", "()", ")"])
def test_a_name_may_hold_anything(name: str) -> None:
    """The name ends at the last parenthesis, whatever it holds."""
    text = f"12 ({name}){STAT.format(ticks=55)}".encode()
    stat = procfs.Stat(name.encode(), 7, 5, 6, 55 * clock.TICK_NS, is_dead=False)
    assert procfs.parse_stat(text) == stat


@given(st.binary(max_size=200))
def test_any_text_is_a_process_or_an_error(text: bytes) -> None:
    """Bytes that are no line of stat are a ValueError and nothing else."""
    try:
        stat = procfs.parse_stat(text)
    except ValueError:
        return
    assert stat.start_ns % clock.TICK_NS == 0


def test_scan_gives_keys_parents_and_images(tmp_path: Path) -> None:
    """A scan finds processes with their parents' keys, arguments and executable."""
    _process(tmp_path, 1, "init", 0, 3)
    shell = _process(tmp_path, 40, "sh", 1, 9)
    (shell / "cmdline").write_bytes(b"sh\0-c\0x\0")
    (shell / "exe").symlink_to("/bin/sh")
    (tmp_path / "self").mkdir()
    init, sh = sorted(procfs.scan(str(tmp_path)), key=lambda process: process.key)
    assert init.key == (1, 3 * clock.TICK_NS)
    assert sh.parent == init.key
    assert sh.image == Image(b"sh", b"/bin/sh", b"sh\0-c\0x\0", 3)
    assert sh.coarse


def test_arguments_outside_the_filter_are_not_read(tmp_path: Path) -> None:
    """Of processes in other cgroups there is the name and the file, but not what they were told."""
    for pid, cgroup in ((40, "/mine/below"), (41, "/mine-not"), (42, "/")):
        folder = _process(tmp_path, pid, "sh", 1, 9)
        (folder / "cmdline").write_bytes(b"sh\0secret\0")
        (folder / "cgroup").write_text(f"1:name=systemd:/mine\n0::{cgroup}\n")
    for name in ("/mine", "mine", "/mine/"):
        found = {p.key[0]: p for p in procfs.scan(str(tmp_path), name)}
        assert {tgid: p.inside for tgid, p in found.items()} == {40: True, 41: False, 42: False}
    assert {tgid: p.image.args_count for tgid, p in found.items()} == {40: 2, 41: 0, 42: 0}
    assert all(p.inside for p in procfs.scan(str(tmp_path)))


def test_a_zombie_is_no_process(tmp_path: Path) -> None:
    """The dead are left out, unless it is only the first thread that has gone."""
    for pid, threads in ((40, 1), (41, 2)):
        stat = _process(tmp_path, pid, "sh", 1, 9) / "stat"
        text = (
            stat.read_text().replace(" S ", " Z ", 1).replace(" 20 0 1 0 ", f" 20 0 {threads} 0 ")
        )
        stat.write_text(text)
    assert [process.key[0] for process in procfs.scan(str(tmp_path))] == [41]


def test_the_owner_is_the_effective_one(tmp_path: Path) -> None:
    """An observation has the effective ids; of what is gone, root's."""
    folder = _process(tmp_path, 40, "sh", 1, 9)
    (folder / "status").write_text("Name:\tsh\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n")
    _process(tmp_path, 41, "sh", 1, 9)
    found = {o.process.key[0]: (o.uid, o.gid) for o in procfs.Look(str(tmp_path))}
    assert found == {40: (2, 6), 41: (0, 0)}


def test_processes_that_vanish_are_left_out(tmp_path: Path) -> None:
    """A process without a readable stat is not there; without a cmdline it has no arguments."""
    (tmp_path / "50").mkdir()
    _process(tmp_path, 51, "kthread", 2, 4)
    (only,) = procfs.scan(str(tmp_path))
    assert only.image == Image(b"kthread", b"", b"", 0)


def test_what_is_gone_leaves_a_look_complete(tmp_path: Path) -> None:
    """Files that are not there are those of processes that have gone, and no failure."""
    _process(tmp_path, 1, "init", 0, 3)
    (tmp_path / "50").mkdir()
    look = procfs.Look(str(tmp_path))
    assert [seen.process.key[0] for seen in look] == [1]
    assert (look.complete, look.failure) == (True, "")


@pytest.mark.parametrize("unreadable", ["stat", "status", "cgroup", "cmdline"])
def test_what_is_there_and_cannot_be_read_is_a_failure(tmp_path: Path, unreadable: str) -> None:
    """The others are seen, the look is not complete, and it says why."""
    _process(tmp_path, 1, "init", 0, 3)
    folder = _process(tmp_path, 50, "sh", 1, 4)
    (folder / unreadable).unlink(missing_ok=True)
    (folder / unreadable).mkdir()
    look = procfs.Look(str(tmp_path))
    assert [seen.process.key[0] for seen in look] == [1]
    assert not look.complete
    assert f"50/{unreadable}" in look.failure


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("stat", "50 (sh) S"),
        ("stat", "50 (sh)" + STAT.replace(" 7 ", " -1 ", 1).format(ticks=4)),
        ("stat", "50 (sh)" + STAT.format(ticks="9" * 30)),
        ("stat", "50 (sh)" + STAT.format(ticks="many")),
        ("stat", f"50 ({'x' * 65})" + STAT.format(ticks=4)),
        ("status", "Uid:\t5\nGid:\t5\n"),
        ("status", "Uid:\t0\tx\nGid:\t0\t0\n"),
        ("status", "Uid:\t0\t-1\nGid:\t0\t0\n"),
        ("status", f"Uid:\t0\t0\nGid:\t0\t{1 << 32}\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_a_failure(tmp_path: Path, file: str, text: str) -> None:
    """Of that process alone: the others are seen, and the look says which one it was."""
    _process(tmp_path, 1, "init", 0, 3)
    (_process(tmp_path, 50, "sh", 1, 4) / file).write_text(text)
    look = procfs.Look(str(tmp_path))
    assert [seen.process.key[0] for seen in look] == [1]
    assert not look.complete
    assert f"{tmp_path}/50" in look.failure


def test_a_long_path_of_a_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning is known, or nothing of it; the process is seen in any case."""
    folder = _process(tmp_path, 1, "init", 0, 3)
    (folder / "cgroup").write_text("0::/" + "a" * 5000 + "\n")
    (seen,) = procfs.Look(str(tmp_path))
    assert seen.process.seen_cgroup == "/" + "a" * 4094
    whole = procfs._read

    def read(path: str, bytes_max: int) -> bytes:
        if path.endswith("/cgroup"):
            raise OSError(errno.ENAMETOOLONG, "File name too long", path)
        return whole(path, bytes_max)

    monkeypatch.setattr(procfs, "_read", read)
    look = procfs.Look(str(tmp_path))
    assert [seen.process.seen_cgroup for seen in look] == [""]
    assert look.complete


def test_who_is_being_reaped_has_no_session(tmp_path: Path) -> None:
    """The kernel says -1 then, which is no number of a session."""
    text = f"12 (sh){STAT.replace(' 5 6 ', ' -1 -1 ').format(ticks=55)}".encode()
    stat = procfs.parse_stat(text)
    assert (stat.process_group, stat.session) == (0, 0)


def test_without_a_proc_nothing_is_seen(tmp_path: Path) -> None:
    """What cannot be listed is a failure, and no reason to end."""
    look = procfs.Look(str(tmp_path / "none"))
    assert list(look) == []
    assert (look.complete, bool(look.failure)) == (False, True)


def test_a_file_that_was_deleted_has_its_name(tmp_path: Path) -> None:
    """The kernel's mark behind its path is left out, also where the file has another name."""
    _process(tmp_path, 1, "init", 0, 3)
    for number, also in ((50, ""), (51, "other name")):
        program = tmp_path / f"program{number}"
        shutil.copy("/bin/sleep", program)
        if also:
            (tmp_path / also).hardlink_to(program)
        with subprocess.Popen([program, "100"]) as process:
            status = program.stat()
            program.unlink()
            (seen,) = (o for o in procfs.Look() if o.process.key[0] == process.pid)
            process.kill()
        assert seen.process.image.executable == os.fsencode(program)
        assert seen.inode == status.st_ino
        assert (seen.device >> 20, seen.device & 0xFFFFF) == (
            os.major(status.st_dev), os.minor(status.st_dev)
        )  # fmt: skip


def test_a_file_that_is_called_deleted(tmp_path: Path) -> None:
    """What ends so in its own name keeps all of it."""
    program = tmp_path / "program (deleted)"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "100"]) as process:
        (seen,) = (o for o in procfs.Look() if o.process.key[0] == process.pid)
        process.kill()
    assert seen.process.image.executable == os.fsencode(program)


def test_a_first_thread_that_has_left(tmp_path: Path) -> None:
    """What runs, and with which arguments, is known from a thread that lives."""
    program = compile_c(tmp_path, "leader", LEADER_LEAVES_OTHERS_STAY)
    with subprocess.Popen([program, "two words"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"left\n"
        (seen,) = (o for o in procfs.Look() if o.process.key[0] == process.pid)
        process.kill()
    assert seen.process.image.executable == os.fsencode(program)
    assert seen.process.image.args == os.fsencode(program) + b"\0two words\0"


def test_arguments_are_cut_as_an_event_cuts_them() -> None:
    """As many bytes are read as an exec record has room for; the count says that there are more."""
    assert WIRE.constant("AGENTD_ARGS_MAX") == procfs.ARGS_BYTES_MAX
    words = ["sleep", "100", *["0" * 99] * 1000]
    with subprocess.Popen(words) as process:
        (seen,) = (o for o in procfs.Look() if o.process.key[0] == process.pid)
        process.kill()
    image = seen.process.image
    assert len(image.args) == procfs.ARGS_BYTES_MAX
    assert image.args.count(b"\0") < image.args_count <= len(words)


def test_the_live_proc_has_this_process() -> None:
    """The real /proc is read: this test is in it, with its arguments."""
    processes = {process.key[0]: process for process in procfs.scan()}
    own = processes[int(Path("/proc/self").readlink().name)]
    assert own.image.args_count >= 1
    assert own.image.executable


def test_forks_total_is_the_kernels_counter(tmp_path: Path) -> None:
    """The number behind ``processes`` is read, whatever stands around it."""
    (tmp_path / "stat").write_text("cpu 1 2\nprocesses 12345\nprocs_running 2\n")
    assert program_counts.forks_total(str(tmp_path)) == 12345


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"a\xff", "/a\ufffd"), (b"b\x0b0::/x\x850::/y\r0::/z", "/b\x0b0::/x\ufffd0::/y\r0::/z")],
)
def test_a_cgroup_may_have_any_name(tmp_path: Path, name: bytes, text: str) -> None:
    """What is not UTF-8 is U+FFFD; only a newline, which no name can have, ends a line."""
    folder = _process(tmp_path, 40, "sh", 1, 9)
    (folder / "cgroup").write_bytes(b"1:name=systemd:/\x0b0::/no\n0::/" + name + b"\n")
    (process,) = procfs.scan(str(tmp_path))
    assert process.seen_cgroup == text
