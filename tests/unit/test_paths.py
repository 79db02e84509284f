"""agentd/paths.py: where the files are that are not Python."""

from __future__ import annotations

from agentd.paths import bpf_dir


def test_the_files_that_are_not_python() -> None:
    """The wire contract, the programs and the stub headers are where they are looked for."""
    for name in ("agentd.h", "agentd.bpf.c", "headers/include/linux/types.h"):
        assert (bpf_dir() / name).is_file()
