"""agentd.host.cgroups"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from agentd.errors import ConfigError
from agentd.helpers import cgroup_paths
from agentd.host import cgroups

LINE = "30 20 0:26 / {} rw,relatime shared:9 - {} none rw\n"


def test_paths_are_bounded_in_bytes() -> None:
    """Of characters that take four bytes each, too; the one that came first goes first."""
    paths = cgroup_paths._Paths()
    for number in range(3000):
        paths.add(number, f"/{number}" + "\U0001f600" * 1000)
    kept = [number for number in range(3000) if paths.get(number) is not None]
    assert sum(sys.getsizeof(paths.get(number)) for number in kept) <= 8 << 20
    assert kept == list(range(kept[0], 3000))
    assert len(kept) > 1000


def test_the_mount_is_found(tmp_path: Path) -> None:
    """The cgroup v2 mount is found among others."""
    file = tmp_path / "mountinfo"
    file.write_text(LINE.format("/a", "cgroup") + LINE.format("/b/c", "cgroup2"))
    assert cgroups.cgroup2_mount(str(file)) == Path("/b/c")


def test_escapes_of_a_path(tmp_path: Path) -> None:
    """Spaces and their like are octal in a mountinfo; other white space stands as it is."""
    file = tmp_path / "mountinfo"
    file.write_bytes(LINE.format(r"/a\040b\134c\011d\012e", "cgroup2").encode())
    assert cgroups.cgroup2_mount(str(file)) == Path("/a b\\c\td\ne")
    file.write_bytes(LINE.format("/\r\u00a0\x85x", "cgroup2").encode() + b"\xff\n")
    assert cgroups.cgroup2_mount(str(file)) == Path("/\r\u00a0\x85x")
    file.write_bytes(LINE.format("/X", "cgroup2").encode().replace(b"X", b"\xff"))
    assert os.fsencode(cgroups.cgroup2_mount(str(file))) == b"/\xff"


def test_the_whole_hierarchy_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several mounts: the one at the root, then one that seems to be, then the first."""
    file = tmp_path / "mountinfo"
    folders = [tmp_path / name for name in ("part", "hidden", "whole")]
    for folder in folders:
        folder.mkdir()
    status = folders[0].stat()
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    lines = [
        f"1 2 {device} /a {folders[0]} rw - cgroup2 none rw",
        f"1 2 9:9 / {folders[1]} rw - cgroup2 none rw",
        f"1 2 {device} / {folders[2]} rw - cgroup2 none rw",
        f"1 2 {device} / {tmp_path}/none rw - cgroup2 none rw",
    ]
    monkeypatch.setattr(cgroups, "_ROOT_INODE", folders[2].stat().st_ino)
    for count, expected in ((4, folders[2]), (2, folders[1]), (1, folders[0])):
        file.write_text("".join(f"{line}\n" for line in lines[:count]))
        assert cgroups.cgroup2_mount(str(file)) == expected


@pytest.mark.parametrize("line", ["1 - cgroup2 x", "1 2 3:4 / /a\0b rw - cgroup2 x rw"])
def test_a_line_that_is_none_is_no_mount(tmp_path: Path, line: str) -> None:
    """Too short, or with a path that no file can have; a good one behind it counts."""
    file = tmp_path / "mountinfo"
    file.write_text(f"{line}\n")
    with pytest.raises(ConfigError, match="mount -t cgroup2"):
        cgroups.cgroup2_mount(str(file))
    file.write_text(f"{line}\n" + LINE.format("/a", "cgroup2"))
    assert cgroups.cgroup2_mount(str(file)) == Path("/a")


def test_no_mount_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    """Without cgroup v2 the error says how to get it."""
    file = tmp_path / "mountinfo"
    file.write_text(LINE.format("/a", "tmpfs"))
    with pytest.raises(ConfigError, match="mount -t cgroup2"):
        cgroups.cgroup2_mount(str(file))


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_the_root_is_no_filter(path: str) -> None:
    """The whole hierarchy needs no filter."""
    assert cgroups.find_filter(path) is None


@pytest.mark.parametrize("path", ["/no/such/group", "/../etc", "/.."])
def test_what_is_no_cgroup_is_an_error(path: str) -> None:
    """A path that is no cgroup below the mount is named, with a way out."""
    with pytest.raises(ConfigError, match=r"filter\.cgroup"):
        cgroups.find_filter(path)
