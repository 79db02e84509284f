"""A service manager in miniature: keeps file descriptors, and starts agentd with them again."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, ENOUGH_SECONDS, whole_lines

# puts the descriptors named in the arguments where sd_listen_fds(3) wants them
_START = """
import os, sys
theirs = [int(fd) for fd in filter(None, sys.argv[1].split(","))]
fds = [os.dup2(fd, 200 + i) for i, fd in enumerate(theirs)]
for fd in theirs:
    os.close(fd)
for i, fd in enumerate(fds):
    os.dup2(fd, 3 + i)
    os.close(fd)
if procs := os.environ.pop("CGROUP_PROCS", ""):
    with open(procs, "w") as file:
        file.write("0")
for name in ("LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"):
    os.environ[name] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""

_HEARD_OUT = "X_HEARD_OUT=1"


class Manager:
    """Starts one agentd after another."""

    def __init__(self, folder: Path, options: list[str]) -> None:
        self.folder = folder
        self.options = options
        self.kept: dict[str, int] = {}
        self.told: list[str] = []
        """Each state that it was told, a line each."""
        self.outputs: list[Path] = []
        self.appends_to: Path | None = None
        """Where the next process writes behind what is there, as StandardOutput=append: does."""
        self.process: subprocess.Popen[bytes] | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify.sock"))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self, **environment: str) -> None:
        """A new process, with what was kept; returns when it says that it is ready."""
        before = self.told.count("READY=1")
        self.launch(None, **environment)
        self.wait_until_told("READY=1", before + 1)

    def launch(self, cgroup: Cgroup | None = None, /, **environment: str) -> None:
        """A new process, with what was kept; returns at once. ``cgroup``: where it runs."""
        output = self.appends_to or self.folder / f"run-{len(self.outputs)}.out"
        self.outputs.append(output)
        kept = dict(self.kept)
        environment |= {"NOTIFY_SOCKET": str(self.folder / "notify.sock")}
        if kept:
            environment |= {"LISTEN_FDS": str(len(kept)), "LISTEN_FDNAMES": ":".join(kept)}
        if cgroup is not None:
            environment["CGROUP_PROCS"] = str(cgroup.folder / "cgroup.procs")
        fds = ",".join(map(str, kept.values()))
        command = [sys.executable, "-c", _START, fds, AGENTD, "run", *self.options]
        errors = self.folder / f"run-{len(self.outputs) - 1}.err"
        with output.open("ab") as out, errors.open("wb") as err:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                env=os.environ | environment, pass_fds=list(kept.values()),
            )  # fmt: skip

    def wait_until_told(self, state: str, times: int = 1) -> None:
        """Wait for a state."""
        assert self.process is not None
        deadline = time.monotonic() + ENOUGH_SECONDS
        while self.told.count(state) < times:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"never told {state}"
            time.sleep(0.01)

    def wait_until_logged(self, event: str) -> None:
        """Wait for a line of the last process's log."""
        assert self.process is not None
        deadline = time.monotonic() + ENOUGH_SECONDS
        while f'"event": "{event}"' not in self.log():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"never logged {event}"
            time.sleep(0.01)

    def lines(self) -> list[dict[str, Any]]:
        """All that was written, by all processes."""
        return [line for output in self.outputs for line in whole_lines(output)]

    def first_seq(self) -> int:
        """Where the numbers of the newest programs that are kept begin."""
        return max(int(name.partition("@")[2] or 0) for name in self.kept)

    def end(self, number: int) -> int:
        """Send a signal, and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(ENOUGH_SECONDS)
        self._hear_out()
        return status

    def log(self) -> str:
        """What the last process wrote to standard error."""
        return (self.folder / f"run-{len(self.outputs) - 1}.err").read_text()

    def close(self) -> None:
        """End what runs, and close what was kept, which detaches the programs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._listener.join()
        self._socket.close()
        for fd in self.kept.values():
            os.close(fd)

    def _hear_out(self) -> None:
        """Listen to all that has been said, as systemd does before it sees that a process ended."""
        before = self.told.count(_HEARD_OUT)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(_HEARD_OUT.encode(), self._socket.getsockname())
        deadline = time.monotonic() + ENOUGH_SECONDS
        while self.told.count(_HEARD_OUT) == before:
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.001)

    def _listen(self) -> None:
        size = socket.CMSG_SPACE(array.array("i").itemsize * 253)
        while True:
            message, ancillary, _, _ = self._socket.recvmsg(1 << 16, size)
            if not message:
                return
            lines = message.decode().splitlines()
            fds = array.array("i")
            for _, _, data in ancillary:
                fds.frombytes(data)
            names = [line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")]
            if "FDSTORE=1" in lines:
                self.kept[names[0]] = fds[0]
            elif "FDSTOREREMOVE=1" in lines and names[0] in self.kept:
                os.close(self.kept.pop(names[0]))
            self.told += lines


@contextlib.contextmanager
def managing(folder: Path, *options: str) -> Iterator[Manager]:
    """A manager; all that it started and kept is put away in the end."""
    manager = Manager(folder, list(options))
    try:
        yield manager
    finally:
        manager.close()
