"""What a test needs of this machine; without it a test is skipped, or fails where it must run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def need_bpf() -> None:
    """Skip, with the reason, where BPF programs cannot be loaded; fail if AGENTD_REQUIRE_BPF=1."""
    reason = ""
    if os.geteuid() != 0:
        reason = "needs root"
    elif not Path("/sys/kernel/btf/vmlinux").exists():
        reason = "needs a kernel with BTF"
    elif not any(
        line.split()[2] == "cgroup2" for line in Path("/proc/mounts").read_text().splitlines()
    ):
        reason = "needs a mounted cgroup v2 hierarchy"
    if reason and os.environ.get("AGENTD_REQUIRE_BPF") == "1":
        pytest.fail(f"AGENTD_REQUIRE_BPF=1, but the test {reason}")
    if reason:
        pytest.skip(reason)


def need_root() -> None:
    """Skip where the test may not become other users."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def need_program(name: str) -> str:
    """The path of a program; skip where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}")
    return path
