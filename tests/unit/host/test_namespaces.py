"""agentd.host.namespaces"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentd.errors import UnavailableError
from agentd.host import namespaces


def test_without_proc(tmp_path: Path) -> None:
    """The error names the path and how to mount it."""
    with pytest.raises(UnavailableError, match=f"mount -t proc proc {tmp_path}"):
        namespaces.check(str(tmp_path))


def test_another_namespaces_proc(tmp_path: Path) -> None:
    """A /proc in which we are somebody else is not ours."""
    (tmp_path / "self").symlink_to("1")
    with pytest.raises(UnavailableError, match="another pid namespace"):
        namespaces.check(str(tmp_path))


@pytest.mark.parametrize("kind", ["pid", "time"])
def test_namespaces_of_our_own(tmp_path: Path, kind: str) -> None:
    """Pids or a clock of our own are refused, by the numbers of the namespaces."""
    own = str(os.getpid())
    (tmp_path / own / "ns").mkdir(parents=True)
    (tmp_path / "self").symlink_to(own)
    namespaces.check(str(tmp_path))
    (tmp_path / own / "ns" / kind).touch()
    with pytest.raises(UnavailableError, match=f"{kind} namespace of its own"):
        namespaces.check(str(tmp_path))
