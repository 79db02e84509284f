"""Tests of what is compiled run twice: on the source, and compiled as the package has it."""

from __future__ import annotations

import os
import subprocess
import sys

import agentd.core.tree.tree

_WHICH = "import agentd.core.tree.tree; print(agentd.core.tree.tree.__file__)"


def test_the_core_that_is_asked_for_is_what_runs() -> None:
    """The compiled one where PYTHONPATH has it, in this process and in those that tests start."""
    ending = ".so" if "compiled" in os.environ.get("PYTHONPATH", "") else ".py"
    command = [sys.executable, "-c", _WHICH]
    child = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    assert agentd.core.tree.tree.__file__.endswith(ending)
    assert child.stdout.endswith(f"{ending}\n")
