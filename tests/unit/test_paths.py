"""agentd/paths.py: where the files are that are not Python."""

from __future__ import annotations

import agentd.core.tree.tree
from agentd.paths import bpf_dir, core_form


def test_the_files_that_are_not_python() -> None:
    """The wire contract, the programs and the stub headers are where they are looked for."""
    for name in ("agentd.h", "agentd.bpf.c", "headers/include/linux/types.h"):
        assert (bpf_dir() / name).is_file()


def test_which_form_of_the_core_runs() -> None:
    """The compiled one where PYTHONPATH has it (tests/unit/test_compiled.py), or the source."""
    expected = "compiled" if agentd.core.tree.tree.__file__.endswith(".so") else "source"
    assert core_form() == expected
