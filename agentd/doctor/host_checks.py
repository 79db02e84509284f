"""Looks at the host around the kernel: Python, privilege, BCC, systemd, configuration."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from agentd.config.tried_config import load_tried_config
from agentd.doctor.check import BAD, GOOD, NOTE, Finding
from agentd.errors import AgentdError
from agentd.front.checking import check_web_config
from agentd.kernel.btf import kernel_headers
from agentd.kernel.loader_process import check_capabilities
from agentd.paths import core_form
from agentd.requirements import packages, probe
from agentd.requirements.packages import BCC, PACKAGES, RUN, Package

SYSTEMD_NEEDED = 252
"""Debian 12's; the unit uses what came until then."""
_BOOTED = Path("/run/systemd/system")
"""It is there if systemd is the service manager of this host (sd_booted(3))."""


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


def python(needed: Sequence[Package] = PACKAGES) -> list[Finding]:
    """Whether the Python packages can be imported; a finding for each that cannot."""
    wrong = []
    versions = []
    for package in needed:
        if package is BCC:
            continue  # it has a finding of its own
        try:
            packages.load(package)
            versions.append(packages.version(package))
        except AgentdError as error:
            level = BAD if package.used_by == RUN else NOTE
            only = "" if package.used_by == RUN else f"; only {package.used_by} needs it"
            wrong.append(Finding("python", level, f"{error.message}{only}", error.hint))
    what = f"Python {platform.python_version()} imports {', '.join(versions)}"
    return [Finding("python", GOOD, what), *wrong]


def core() -> Finding:
    """Whether what every event goes through is compiled for this Python."""
    if core_form() == "compiled":
        return Finding("core", GOOD, "compiled for this Python")
    return Finding("core", GOOD, "runs from source, at about twice the CPU; make deb compiles it")


def bcc() -> Finding:
    """Whether BCC can be imported; that takes LLVM, so another process does it."""
    try:
        return Finding("bcc", GOOD, f"version {probe.check_bcc()}")
    except AgentdError as error:
        return Finding("bcc", BAD, error.message, error.hint)


def libbpf() -> Finding:
    """Whether libbpf can be loaded."""
    try:
        probe.check_libbpf()
    except AgentdError as error:
        level = NOTE if kernel_headers().is_dir() else BAD
        return Finding("libbpf", level, error.message, error.hint)
    return Finding("libbpf", GOOD, "can be loaded")


def configuration(path: Path | None) -> Finding:
    """Whether a file is good."""
    if path is None:
        return Finding("config", GOOD, "none given or installed, every key at its default")
    return look_for("config", lambda: _load(path), f"{path}: good")


def _load(path: Path) -> None:
    check_web_config(load_tried_config(path).metrics)


def service_manager(command: str = "systemctl", booted: Path = _BOOTED) -> list[Finding]:
    """Whether there is a systemd that knows what the unit asks for; then journald's limits, too."""
    try:
        done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
        version = int(done.stdout.split()[1])
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return [Finding("systemd", NOTE, "not found: run agentd under another supervisor")]
    if not booted.is_dir():
        what = f"version {version} is installed, but does not run: use another supervisor"
        return [Finding("systemd", NOTE, what)]
    if version < SYSTEMD_NEEDED:
        what = f"version {version}; the unit is made for {SYSTEMD_NEEDED} and later"
        return [Finding("systemd", NOTE, what), journald()]
    return [Finding("systemd", GOOD, f"version {version}"), journald()]


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
