"""agentd/config/files.py: files that an operator names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentd.config.files import UnreadableFileError, read_file


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    """All of it, up to the bound; through a link too."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    (tmp_path / "link").symlink_to(path)
    assert read_file(path, 10) == read_file(tmp_path / "link") == b"x" * 10


def test_what_blocks_or_acts_is_not_opened(tmp_path: Path) -> None:
    """A FIFO would wait for a writer for ever, and a device does what devices do."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(UnreadableFileError, match="is not a regular file"):
            read_file(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("large", "larger than 9 bytes"),
        ("none", "No such file"),
        ("", "Is a directory"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        ("n" * 300, "too long"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, reason: str) -> None:
    """Whatever the path is, the error is one, with a reason."""
    (tmp_path / "large").write_bytes(b"x" * 10)
    with pytest.raises(UnreadableFileError, match=reason):
        read_file(tmp_path / name, 9)


def test_a_file_without_a_size_is_bounded_too() -> None:
    """Those of /proc say that they are empty, and are not."""
    with pytest.raises(UnreadableFileError, match="larger than 9 bytes"):
        read_file(Path("/proc/self/status"), 9)
