"""Where scenes are played: a network and a /run of their own, so that what the pages say of ports
and sockets is true there; and one cgroup, which is all that agentd gets to see.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agentd.config.schema import Control, Metrics
from tests.cgroup import Cgroup
from tests.e2e.agent import AGENTD, Agent, listening, users_file
from tests.shown.pages import ROOT

CGROUP = "agentd-demo"
ENOUGH_SECONDS = 60

_LOCK = Path("/tmp/agentd-demo.lock")
_WRAPPER = f"""#!/bin/bash
if [ "$1" = run ]; then set -- "$@" --set filter.cgroup=/{CGROUP} --duration 1; fi
exec {AGENTD} "$@"
"""
"""What a page has agentd run watches the cgroup of the stage, and for a moment."""


class Stage:
    """Runs agentd and the commands of the pages."""

    def __init__(self, folder: Path, cgroup: Cgroup) -> None:
        self.folder = folder
        self.cgroup = cgroup
        (folder / "agentd").write_text(_WRAPPER)
        (folder / "agentd").chmod(0o755)

    @contextlib.contextmanager
    def agentd(self, *options: str, password: str = "") -> Iterator[Agent]:
        """One at its usual addresses. ``password``: alice's, if one is asked for."""
        if password:
            web_config = self.folder / "web-config.yml"
            web_config.write_text(users_file(password))
            options = (*options, "--set", f"metrics.web_config={web_config}")
        where = f"control.socket={Control().socket}"
        port = int(Metrics().listen.rpartition(":")[2])
        options = ("--set", where, *options)
        with listening(self.folder, self.cgroup.path, port, *options, password=password) as agent:
            agent.wait_until_ready()
            yield agent

    def popen(self, command: str) -> subprocess.Popen[str]:
        """Start what somebody types into a shell."""
        path = f"{self.folder}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["/bin/bash", "-o", "pipefail", "-c", command], cwd=ROOT, text=True,
            env=os.environ | {"PATH": path, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, command: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        with self.popen(command) as process:
            output, errors = process.communicate(timeout=ENOUGH_SECONDS)
            return process.returncode, output, errors

    def console(self, command: str) -> str:
        """Command and output as a terminal shows them."""
        status, output, errors = self.run(command)
        assert (status, errors) == (0, ""), (command, errors)
        return f"$ {command}\n{output.rstrip()}\n"


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """The one that there is; this process must be in namespaces of its own (``enter``)."""
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path(Control().socket).parent.mkdir()
    with _LOCK.open("w") as lock, tempfile.TemporaryDirectory() as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cgroup = Cgroup(CGROUP)
        if cgroup.folder.exists():  # somebody was killed
            cgroup.end()
        cgroup.folder.mkdir()
        try:
            yield Stage(Path(folder), cgroup)
        finally:
            cgroup.end()


def enter(module: str, *arguments: str) -> str:
    """Run a module of ours in such namespaces; its output."""
    command = ["unshare", "--net", "--mount", sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
