"""agentd.procfs and agentd.host"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd import host, procfs

STAT = " S 7 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 0 0"


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
    stat = procfs.Stat(name.encode(), 7, 55 * host.TICK_NS, is_dead=False)
    assert procfs.parse_stat(text) == stat


@given(st.binary(max_size=200))
def test_any_text_is_a_process_or_an_error(text: bytes) -> None:
    """Bytes that are no line of stat are a ValueError and nothing else."""
    try:
        stat = procfs.parse_stat(text)
    except ValueError:
        return
    assert stat.start_ns % host.TICK_NS == 0


def test_scan_gives_keys_parents_and_images(tmp_path: Path) -> None:
    """A scan finds processes with their parents' keys, arguments and executable."""
    _process(tmp_path, 1, "init", 0, 3)
    shell = _process(tmp_path, 40, "sh", 1, 9)
    (shell / "cmdline").write_bytes(b"sh\0-c\0x\0")
    (shell / "exe").symlink_to("/bin/sh")
    (tmp_path / "self").mkdir()
    init, sh = sorted(procfs.scan(str(tmp_path)), key=lambda process: process.key)
    assert init.key == (1, 3 * host.TICK_NS)
    assert sh.parent == init.key
    assert sh.image == (b"sh", b"/bin/sh", b"sh\0-c\0x\0", 3)
    assert sh.coarse


def test_processes_that_vanish_are_left_out(tmp_path: Path) -> None:
    """A process without a readable stat is not there; without a cmdline it has no arguments."""
    (tmp_path / "50").mkdir()
    _process(tmp_path, 51, "kthread", 2, 4)
    (only,) = procfs.scan(str(tmp_path))
    assert only.image == (b"kthread", b"", b"", 0)


def test_the_live_proc_has_this_process() -> None:
    """The real /proc is read: this test is in it, with its arguments."""
    processes = {process.key[0]: process for process in procfs.scan()}
    own = processes[int(Path("/proc/self").readlink().name)]
    assert own.image.args_count >= 1
    assert own.image.executable


def test_forks_total_is_the_kernels_counter(tmp_path: Path) -> None:
    """The number behind ``processes`` is read, whatever stands around it."""
    (tmp_path / "stat").write_text("cpu 1 2\nprocesses 12345\nprocs_running 2\n")
    assert procfs.forks_total(str(tmp_path)) == 12345
