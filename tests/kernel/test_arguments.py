"""Arguments and names come out as they were, whatever they hold and however long they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentd.core.event import Exec
from tests.cgroup import Cgroup
from tests.kernel.tracer import Tracer, events, read_wire
from tests.programs import compile_c

LARGEST = read_wire().constant("AGENTD_LARGE_ARGS")
TRUNCATED = read_wire().constant("AGENTD_ARGS_TRUNCATED")


def _exec_of(cgroup: Cgroup, tracer: Tracer, command: list[str]) -> Exec:
    cgroup.run(command)
    event = events(tracer.collect())[0]
    assert isinstance(event, Exec)
    return event


@pytest.mark.parametrize("length", [1, 200, 256, 257, 2000, 2048, 2049, 10000, LARGEST - 11])
def test_arguments_of_any_size_class(cgroup: Cgroup, tracer: Tracer, length: int) -> None:
    """Arguments up to the largest class are whole."""
    event = _exec_of(cgroup, tracer, ["/bin/true", "x" * length])
    assert event.args == b"/bin/true\0" + b"x" * length + b"\0"
    assert event.flags == 0


@pytest.mark.parametrize("length", [LARGEST - 10, 100_000])
def test_arguments_beyond_the_largest_class(cgroup: Cgroup, tracer: Tracer, length: int) -> None:
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


@pytest.mark.parametrize("value", [b"\xff\xfe\x80", b"a\nb\tc", b"\x1b[31m", "ü€".encode()])
def test_arguments_of_any_bytes(cgroup: Cgroup, tracer: Tracer, value: bytes) -> None:
    """Bytes that are no text, newlines and escapes come through unchanged."""
    event = _exec_of(cgroup, tracer, ["/bin/true", os.fsdecode(value)])
    assert event.args == b"/bin/true\0" + value + b"\0"


EMPTY_ARGV = r"""
#include <unistd.h>
int main(void)
{
	char *const none[] = { NULL };
	execve("/bin/true", none, none);
	return 1;
}
"""


def test_empty_argv(cgroup: Cgroup, tracer: Tracer, compiled: Path) -> None:
    """An empty argument vector is what the kernel makes of it: one empty argument."""
    cgroup.run([compile_c(compiled, "empty_argv", EMPTY_ARGV)])
    event = events(tracer.collect())[1]
    assert isinstance(event, Exec)
    assert (event.args, event.args_count) == (b"\0", 1)


@pytest.mark.parametrize("depth", [2, 20])
def test_long_executable_name(cgroup: Cgroup, tracer: Tracer, tmp_path: Path, depth: int) -> None:
    """A name longer than the small classes hold is whole, and so are the arguments."""
    folder = tmp_path.joinpath(*["d" * 150] * depth)
    folder.mkdir(parents=True)
    program = folder / "true"
    program.symlink_to("/bin/true")
    event = _exec_of(cgroup, tracer, [str(program), "z"])
    assert event.filename == os.fsencode(program)
    assert event.args == os.fsencode(program) + b"\0z\0"
    assert event.flags == 0
