"""The tools that agentd is compared with: a row each, so that others can be added.

What a row says: how it is started on a cgroup, how its output is counted, what it delivers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from load import Cgroup

HERE = Path(__file__).resolve().parent
AGENTD = HERE.parent / ".venv/bin/agentd"
COMPILED = HERE.parent / "build/compiled"
"""The package as the .deb has it, made by ``make bench``."""

Command = list[str]


@dataclass(frozen=True)
class Peer:
    """One of them. Each of its commands writes to a file of its own."""

    name: str
    commands: Callable[[Cgroup], list[Command]]
    counts: Mapping[str, str]
    """By kind of event, a regular expression that is found once in each line about one."""
    delivers: str
    ready_seconds: float = 4.0
    """Until it is attached; none of them but agentd says so before its first event."""
    by_line: tuple[str, ...] = ("stdbuf", "-oL")
    """What stands before its commands to have each line written at once."""
    filters: bool = True
    """Whether it can leave out what is not in the cgroup."""
    needs: tuple[str, ...] = field(default=())
    """Programs and files."""

    def count(self, outputs: list[Path]) -> dict[str, int]:
        """The events that it told of, by kind."""
        found = dict.fromkeys(self.counts, 0)
        shapes = {kind: re.compile(shape.encode(), re.M) for kind, shape in self.counts.items()}
        for path in outputs:
            data = path.read_bytes()
            for kind, shape in shapes.items():
                found[kind] += sum(1 for _ in shape.finditer(data))
        return found


def _agentd(*environment: str) -> Callable[[Cgroup], list[Command]]:
    def commands(cgroup: Cgroup) -> list[Command]:
        own = (f"filter.cgroup={cgroup.name}", "metrics.listen=127.0.0.1:0", "control.socket=")
        options = [word for setting in own for word in ("--set", setting)]
        return [["env", *environment, str(AGENTD), "run", "--output", "json", *options]]

    return commands


_SCRIPT = """
tracepoint:sched:sched_process_fork /cgroup == cgroupid("{0}")/
{{ printf("F %llu %d %d\\n", nsecs, args->parent_pid, args->child_pid); }}
tracepoint:syscalls:sys_enter_execve /cgroup == cgroupid("{0}")/
{{ printf("A %d ", pid); join(args->argv); }}
tracepoint:sched:sched_process_exec /cgroup == cgroupid("{0}")/
{{ printf("X %llu %d %d %s\\n", nsecs, pid, uid, str(args->filename)); }}
tracepoint:sched:sched_process_exit /cgroup == cgroupid("{0}") && pid == tid/
{{ printf("E %llu %d %d\\n", nsecs, pid, curtask->exit_code); }}
"""


def _bpftrace(cgroup: Cgroup) -> list[Command]:
    return [["bpftrace", "-e", _SCRIPT.format(cgroup.path)]]


def _libbpf_tools(cgroup: Cgroup) -> list[Command]:
    return [[tool, "-t", "-c", str(cgroup.path)] for tool in ("execsnoop", "exitsnoop")]


def _forkstat(cgroup: Cgroup) -> list[Command]:
    return [["forkstat", "-e", "fork,exec,exit"]]


_DELIVERS = "fork, exec, exit in order; argv, paths, users, parents, cgroup, exit code, CPU; losses"
_JSON = {kind: f'"action":"{kind}"' for kind in ("fork", "exec", "exit")}

PEERS = (
    Peer(
        "agentd", _agentd(f"PYTHONPATH={COMPILED}"), _JSON, _DELIVERS,
        by_line=(), needs=(str(AGENTD), str(COMPILED / "stamp")),
    ),
    Peer(
        "agentd, not compiled", _agentd("--unset=PYTHONPATH"), _JSON, _DELIVERS,
        by_line=(), needs=(str(AGENTD),),
    ),
    Peer(
        "forkstat", _forkstat,
        {"fork": r"^\S+ fork +\d+ child", "exec": r"^\S+ exec +\d", "exit": r"^\S+ exit +\d"},
        "fork, exec, exit; command line out of /proc while it lasts; exit code; no losses",
        filters=False, needs=("forkstat",),
    ),
    Peer(
        "bpftrace", _bpftrace, {"fork": r"^F \d", "exec": r"^X \d", "exit": r"^E \d"},
        "fork, exec, exit; argv of 16 words; exit code; a count of what was lost",
        by_line=("stdbuf", "-oL"), needs=("bpftrace",),
    ),
    Peer(
        "execsnoop + exitsnoop", _libbpf_tools,
        {"exec": r"^\d+\.\d+ +tiny ", "exit": r"^\d\d:\d\d:\d\d "},
        "exec with 20 words of argv, exit with its code; two tools, no fork, no order between them",
        needs=("execsnoop", "exitsnoop"),
    ),
)  # fmt: skip
