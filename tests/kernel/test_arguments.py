"""Arguments and names come out as they were, whatever they hold and however long they are."""

from __future__ import annotations

import os
import re
import select
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.core.wire.events import Exec
from agentd.host import procfs
from tests.cgroup import Cgroup
from tests.kernel.c_programs import EMPTY_ARGV, EXEC_AT
from tests.kernel.tracer import Tracer, events
from tests.programs import compile_c
from tests.records import WIRE

LARGEST = WIRE.constant("AGENTD_ARGS_MAX")
PATH_BYTES_MAX = 4096
TRUNCATED = WIRE.constant("AGENTD_ARGS_TRUNCATED")
LENGTHS_OF_ARGS = (12, 127, 128, 129, 2048, 10_000, LARGEST - 1, LARGEST)
LENGTHS_OF_NAMES = (64, 255, 256, 3000, PATH_BYTES_MAX - 1)


def _exec_of(cgroup: Cgroup, tracer: Tracer, command: list[str]) -> Exec:
    cgroup.run(command)
    event = events(tracer.collect())[0]
    assert isinstance(event, Exec)
    return event


@pytest.mark.parametrize("total", LENGTHS_OF_ARGS)
def test_arguments_of_any_length(cgroup: Cgroup, tracer: Tracer, total: int) -> None:
    """Arguments that there is room for are whole."""
    argument = "x" * (total - len("/bin/true") - 2)
    event = _exec_of(cgroup, tracer, ["/bin/true", argument])
    assert event.args == b"/bin/true\0" + argument.encode() + b"\0"
    assert event.args_total_bytes == event.args_bytes == total
    assert event.flags == 0


@pytest.mark.parametrize("length", [LARGEST - 10, 100_000])
def test_arguments_beyond_any_room(cgroup: Cgroup, tracer: Tracer, length: int) -> None:
    """Longer arguments are cut, flagged, and their true length is told."""
    event = _exec_of(cgroup, tracer, ["/bin/true", "x" * length])
    assert len(event.args) == event.args_bytes == LARGEST
    assert event.args_total_bytes == 10 + length + 1
    assert event.args_count == 2
    assert event.flags == TRUNCATED


def test_many_arguments(cgroup: Cgroup, tracer: Tracer) -> None:
    """The number of arguments is right though they are cut."""
    event = _exec_of(cgroup, tracer, ["/bin/true", *["y"] * 20_000])
    assert event.args_count == 20_001


@pytest.mark.parametrize("total", LENGTHS_OF_ARGS)
def test_the_environment_is_not_taken(cgroup: Cgroup, tracer: Tracer, total: int) -> None:
    """What stands behind the arguments in memory is in no event, and in no look at /proc."""
    secret = "environment-4711"
    name = "x" * (total - len("1000") - 2)
    options = {"executable": "/bin/sleep", "env": {"SECRET": secret}}
    with cgroup.popen([name, "1000"], **options) as process:
        (seen,) = (o for o in procfs.Look() if o.process.key[0] == process.pid)
        process.kill()
    entries = tracer.collect()
    assert [event.args_bytes for event in events(entries) if isinstance(event, Exec)] == [total]
    assert secret not in repr(entries)
    assert seen.process.image.args == f"{name}\0001000\0".encode()
    assert secret not in repr(seen)


@pytest.mark.parametrize("value", [b"\xff\xfe\x80", b"a\nb\tc", b"\x1b[31m", "ü€".encode()])
def test_arguments_of_any_bytes(cgroup: Cgroup, tracer: Tracer, value: bytes) -> None:
    """Bytes that are no text, newlines and escapes come through unchanged."""
    event = _exec_of(cgroup, tracer, ["/bin/true", os.fsdecode(value)])
    assert event.args == b"/bin/true\0" + value + b"\0"


def test_empty_argv(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """An empty argument vector is what the kernel makes of it: one empty argument."""
    cgroup.run([compile_c(compiled, "empty_argv", EMPTY_ARGV)])
    event = events(tracer.collect())[1]
    assert isinstance(event, Exec)
    assert (event.args, event.args_count) == (b"\0", 1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose own path is short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def _program_named(folder: Path, length: int) -> str:
    """A program whose path has that length, below a folder with a short one."""
    path = folder
    while len(str(path)) + 205 < length:
        path /= "d" * 200
    path.mkdir(parents=True, exist_ok=True)
    program = path / ("p" * (length - len(str(path)) - 1))
    program.symlink_to("/bin/true")
    assert len(str(program)) == length
    return str(program)


@pytest.mark.parametrize("length", LENGTHS_OF_NAMES)
def test_long_executable_name(cgroup: Cgroup, tracer: Tracer, folder: Path, length: int) -> None:
    """A name of any length is whole, and so are the arguments."""
    program = _program_named(folder, length)
    event = _exec_of(cgroup, tracer, [program, "z"])
    assert event.filename == program.encode()
    assert event.args == program.encode() + b"\0z\0"
    assert event.flags == 0


def test_long_name_in_an_open_folder(
    cgroup: Cgroup, tracer: Tracer, folder: Path, compiled: Path
) -> None:
    """execveat(2) gives the kernel names longer than any path may be; they are whole as well."""
    program = _program_named(folder, PATH_BYTES_MAX - 1)
    done = cgroup.run([compile_c(compiled, "exec_at", EXEC_AT), "/", program.removeprefix("/")])
    if done.returncode:
        pytest.skip(f"this kernel executes no such name: {os.strerror(done.returncode)}")
    event = events(tracer.collect())[1]
    assert isinstance(event, Exec)
    assert re.fullmatch(rb"/dev/fd/\d+" + program.encode(), event.filename)
    assert len(event.filename) > PATH_BYTES_MAX
    assert event.args == b"short\0"
    assert event.flags == 0


def test_long_name_and_long_arguments(cgroup: Cgroup, tracer: Tracer, folder: Path) -> None:
    """The longest name takes nothing away from the longest arguments."""
    program = _program_named(folder, PATH_BYTES_MAX - 1)
    argument = "x" * (LARGEST - PATH_BYTES_MAX - 1)
    event = _exec_of(cgroup, tracer, [program, argument])
    assert event.filename == program.encode()
    assert event.args == f"{program}\0{argument}\0".encode()
    assert event.flags == 0


def test_name_by_way_of_the_working_folder(cgroup: Cgroup, tracer: Tracer, folder: Path) -> None:
    """A relative name is reported as given."""
    (folder / "program").symlink_to("/bin/true")
    cgroup.run(["./program"], cwd=folder)
    event = events(tracer.collect())[0]
    assert isinstance(event, Exec)
    assert event.filename == b"./program"


def test_name_that_is_no_text(cgroup: Cgroup, tracer: Tracer, folder: Path) -> None:
    """A name holds whatever a file's name may hold; the short one is cut at 15 bytes."""
    name = b"\xff\n\x1b" + "ü".encode() * 10
    program = os.fsencode(folder) + b"/" + name
    os.symlink(b"/bin/true", program)
    event = _exec_of(cgroup, tracer, [os.fsdecode(program)])
    assert event.filename == program
    assert event.comm == name[:15] + b"\0"


@pytest.mark.parametrize("length", LENGTHS_OF_NAMES)
def test_reader_is_told(cgroup: Cgroup, tracer: Tracer, folder: Path, length: int) -> None:
    """However long a record is, a reader that had seen all before it is woken, or looks."""
    program = _program_named(folder, length)
    with select.epoll() as epoll:
        epoll.register(tracer.transport.fileno(), select.EPOLLIN)
        cgroup.run([program])
        if tracer.transport.poll_seconds is None:
            assert epoll.poll(3.0) == [(tracer.transport.fileno(), select.EPOLLIN)]
        assert tracer.transport.used_bytes > 0
