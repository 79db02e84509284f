"""Where the files lie that are not Python: beside the package when installed, else in the tree."""

from __future__ import annotations

from pathlib import Path

from agentd import core

_PACKAGE = Path(__file__).resolve().parent


def bpf_dir() -> Path:
    """The folder that holds ``agentd.h``, ``agentd.bpf.c`` and ``headers/``."""
    installed = _PACKAGE / "bpf"
    return installed if installed.is_dir() else _PACKAGE.parent / "bpf"


def core_form() -> str:
    """Which form of the core this Python imports: ``compiled`` for it, or ``source``."""
    return "source" if str(core.__file__).endswith(".py") else "compiled"
