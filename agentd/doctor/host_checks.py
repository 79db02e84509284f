"""Looks at the host around the kernel: privilege, /proc, BCC, systemd, journald, configuration."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from agentd import config, vantage
from agentd.doctor.finding import BAD, GOOD, NOTE, Finding
from agentd.errors import AgentdError
from agentd.kernel.spawn import check_capabilities
from agentd.web.web_config import web_config_of

SYSTEMD_NEEDED = 252
"""Debian 12's; the unit uses what came until then."""


def look_for(subject: str, check: Callable[[], object], fine: str) -> Finding:
    """A check that raises what is wrong, and the way out."""
    try:
        check()
    except AgentdError as error:
        return Finding(subject, BAD, error.message, error.hint)
    return Finding(subject, GOOD, fine)


def privilege() -> Finding:
    """Whether programs may be loaded."""
    return look_for("privilege", check_capabilities, "CAP_BPF and CAP_PERFMON, or root")


def world() -> Finding:
    """Whether /proc and the clocks are the host's."""
    return look_for("/proc", vantage.check, "this host's own, and so are pids and clocks")


def bcc() -> Finding:
    """Whether BCC is installed; its version shows when programs are loaded."""
    if importlib.util.find_spec("bcc") is None:
        return Finding("bcc", BAD, "not installed for this Python", "apt-get install python3-bpfcc")
    return Finding("bcc", GOOD, "installed")


def configuration(path: Path | None) -> Finding:
    """Whether a file is good."""
    if path is None:
        return Finding("config", GOOD, "none given or installed, every key at its default")
    return look_for("config", lambda: _load(path), f"{path}: good")


def _load(path: Path) -> None:
    web_config_of(config.load_config(path).metrics)


def systemd(command: str = "systemctl") -> Finding:
    """Whether there is a systemd that knows what the unit asks for."""
    try:
        done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
        version = int(done.stdout.split()[1])
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return Finding("systemd", NOTE, "not found: run agentd under another supervisor")
    if version < SYSTEMD_NEEDED:
        what = f"version {version}; the unit is made for {SYSTEMD_NEEDED} and later"
        return Finding("systemd", NOTE, what)
    return Finding("systemd", GOOD, f"version {version}")


def journald(root: Path = Path("/")) -> Finding:
    """Whether journald drops what a service writes quickly (journald.conf(5))."""
    limits = {"RateLimitIntervalSec": "30s", "RateLimitBurst": "10000"}
    for file in _journald_files(root):
        for name, value in re.findall(r"^\s*(RateLimit\w+)\s*=\s*(\S*)", file.read_text(), re.M):
            limits[name] = value
    interval, burst = limits["RateLimitIntervalSec"], limits["RateLimitBurst"]
    if re.fullmatch(r"0\w*", interval) or burst == "0":
        return Finding("journald", GOOD, "no rate limit")
    what = f"drops what one service writes beyond {burst} lines in {interval}"
    return Finding("journald", NOTE, what, "LogRateLimitIntervalSec=1us in the unit lifts it")


def _journald_files(root: Path) -> list[Path]:
    """The configuration, in the order in which later files win (journald.conf(5)).

    One main file and one drop-in of a name hold: those in /etc, or else in /run, or else below
    /usr. So a drop-in can be masked, by another or by a link to /dev/null.
    """
    folders = [root / top / "systemd" for top in ("usr/lib", "usr/local/lib", "run", "etc")]
    dropins = {file.name: file for f in folders for file in f.glob("journald.conf.d/*.conf")}
    mains = [folder / "journald.conf" for folder in folders if (folder / "journald.conf").exists()]
    return [*mains[-1:], *(dropins[name] for name in sorted(dropins))]
