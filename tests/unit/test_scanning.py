"""agentd.scanning"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentd import procfs, scanning
from tests.requirements import need_root


def test_the_loop_runs_between_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processes there are, others get their turn, and all are found."""
    monkeypatch.setattr(scanning, "SLICE_SECONDS", 0.0)
    for pid in range(1, 51):
        folder = tmp_path / str(pid)
        folder.mkdir()
        fields = "S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0"
        (folder / "stat").write_text(f"{pid} (x) {fields}")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> int:
        task = asyncio.create_task(other())
        found = await scanning.scan_in_slices("", str(tmp_path))
        task.cancel()
        assert found.complete
        return len(found.processes)

    assert asyncio.run(main()) == len(list(procfs.Look(str(tmp_path)))) == 50
    assert turns >= 50


WITHOUT_DESCRIPTORS = """
import asyncio, os, resource, sys
from agentd.scanning import Scanner

class Log:
    def warning(self, *words, **values):
        print("warned", flush=True)

async def main():
    free = os.open("/", os.O_PATH)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + int(sys.argv[1]), 4096))
    scanned = await Scanner("", sys.argv[2], Log()).scan()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    print(scanned.complete, "Too many open files" in scanned.failure)

asyncio.run(main())
"""


@pytest.mark.parametrize("left", ["0", "1"])
@pytest.mark.parametrize("socket", ["", "/nowhere.sock"])
def test_without_descriptors_nobody_is_gone(left: str, socket: str) -> None:
    """Where the files of /proc cannot be opened, a scan is not complete, and says so."""
    command = [sys.executable, "-c", WITHOUT_DESCRIPTORS, left, socket]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    warned = "warned\n" if socket else ""
    assert done.stdout == f"{warned}False True\n"


HIDDEN = """
mount -t proc -o hidepid=$1 proc /proc && exec setpriv --reuid "$3" --regid "$3" --clear-groups \\
"$2" -c '
from agentd import procfs
look = procfs.Look()
print(len(list(look)), look.complete, repr(look.failure))'
"""


_NOBODY_ELSE = 3_000_000_000
"""From here on a host has no users, so nobody else runs anything as one of them."""


@pytest.mark.parametrize("hidepid", [0, 1, 2])
def test_where_processes_are_hidden(hidepid: int) -> None:
    """With hidepid (proc(5)) a user sees its own processes only, and knows that this is not all."""
    need_root()
    command = ["unshare", "-m", "sh", "-c", HIDDEN, "sh"]
    command += [str(hidepid), sys.executable, str(_NOBODY_ELSE + os.getpid())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    count, complete, failure = done.stdout.split(maxsplit=2)
    assert (complete, failure.strip()) == (str(hidepid == 0), "''")
    assert (int(count) == 1) == (hidepid != 0)
