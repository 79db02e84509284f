"""What a test needs of this machine; without it a test is skipped, or fails where it must run."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest

_INSTALL = "make test-packages installs what tests need"


def need_bpf() -> None:
    """Where BPF programs cannot be loaded it does not run."""
    reason = ""
    if os.geteuid() != 0:
        reason = "needs root"
    elif not Path("/sys/kernel/btf/vmlinux").exists():
        reason = "needs a kernel with BTF"
    elif not any(
        line.split()[2] == "cgroup2" for line in Path("/proc/mounts").read_text().splitlines()
    ):
        reason = "needs a mounted cgroup v2 hierarchy"
    if reason:
        do_without(reason)


def need_root() -> None:
    """Skip where the test may not become other users."""
    if os.geteuid() != 0:
        do_without("needs root")


def need_program(name: str) -> str:
    """The path of a program; where it is not installed the test does not run."""
    return shutil.which(name) or do_without(f"needs {name} ({_INSTALL})")


def need_library(name: str) -> Any:
    """A library that only some tests need; where it is not installed the test does not run."""
    try:
        return importlib.import_module(name)
    except ImportError:
        do_without(f"needs the library {name} ({_INSTALL})")


def do_without(reason: str) -> NoReturn:
    """Skip the test; fail it if AGENTD_REQUIRE_BPF=1: then everything must be there."""
    if os.environ.get("AGENTD_REQUIRE_BPF") == "1":
        pytest.fail(f"AGENTD_REQUIRE_BPF=1, but the test {reason}")
    pytest.skip(reason)
