"""The commands of the pages, typed by somebody who has an agentd with something to ask about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.shown.pages import command_lines
from tests.shown.stage import Stage

ELSEWHERE = {
    "make ": ("Makefile", ""),
    "agentd bench transport": ("tests/kernel/test_experiment.py", "bench transport"),
    "bench/build.sh": ("Makefile", "bench/build.sh"),
    "python3 bench/run.py": ("Makefile", "bench/run.py"),
    "apt-get install ./dist/agentd_*.deb": ("tests/vm/systemd-guest", "dpkg -i"),
    "systemctl status agentd": ("tests/vm/systemd-guest", "systemctl status agentd"),
    "journalctl -u agentd -x": ("tests/vm/systemd-guest", "journalctl -xu agentd"),
    "autopkgtest ": ("tests/vm/systemd-guest", '" autopkgtest --'),
    "usermod -aG agentd YOU": ("tests/vm/systemd-guest", "usermod -aG agentd you"),
}
"""How commands begin that are not run here; what runs them, and how that is called there."""
ENDLESS = ("agentd follow", "agentd top", "curl -sN")
STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
BEFORE_A_DAEMON = ("agentd run", "agentd check-config", "agentd doctor")

_ENDLESS_SECONDS = 2
_ENDED_BY_TIMEOUT = 124
_ENTITY = re.compile(r"\b[0-9a-f]{16}-\d+-\d+\b")


@dataclass(frozen=True, slots=True)
class Ran:
    """One command, and how it went."""

    command: str
    status: int
    errors: str


def commands() -> list[str]:
    """Those that can be run here, as they are typed: with agentd on the path."""
    lines = [line.replace(".venv/bin/agentd", "agentd") for line in command_lines()]
    return [line for line in dict.fromkeys(lines) if not line.startswith(tuple(ELSEWHERE))]


def all_typed(stage: Stage) -> list[Ran]:
    """Run each, those first that start an agentd or need none."""
    first = [line for line in commands() if line.startswith(BEFORE_A_DAEMON)]
    ran = [_run(stage, line, line) for line in first]
    before = STATS.read_text()
    try:
        with stage.agentd("--output", "none") as agent:
            process = stage.cgroup.popen(["/bin/sleep", "999"])
            stage.cgroup.run(["/bin/sh", "-c", "exit 7"])
            agent.wait_for_events(3)
            entity = stage.console(
                "agentd ps --columns entity --filter 'args = \"/bin/sleep 999\"'"
            )
            for line in commands():
                if line not in first:
                    typed = re.sub(r"\[PID\]|\bPID\b|\b4711\b(?!-)", str(process.pid), line)
                    ran.append(_run(stage, line, _ENTITY.sub(entity.split()[-1], typed)))
            process.kill()
            process.wait()
    finally:
        STATS.write_text(before)
    return ran


def _run(stage: Stage, line: str, typed: str) -> Ran:
    """Run a line. What has no end is good if it goes on until it is ended."""
    file = "config/agentd.toml" if "check-config" in line else str(stage.folder / "file")
    typed = re.sub(r"\bFILE\b", file, typed)
    if not line.startswith(ENDLESS):
        return Ran(line, *stage.run(typed)[::2])
    status, _, errors = stage.run(f"timeout {_ENDLESS_SECONDS} {typed}")
    return Ran(line, 0 if status == _ENDED_BY_TIMEOUT else status, errors)
