"""agentd.cgroups"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentd import cgroups
from agentd.cgroups import CgroupPaths
from agentd.core.journal import Named, Step
from agentd.errors import ConfigError

LINE = "30 20 0:26 / {} rw,relatime shared:9 - {} none rw\n"


def test_the_mount_is_found(tmp_path: Path) -> None:
    """The cgroup v2 mount is found among others."""
    file = tmp_path / "mountinfo"
    file.write_text(LINE.format("/a", "cgroup") + LINE.format("/b/c", "cgroup2"))
    assert cgroups.cgroup2_mount(str(file)) == Path("/b/c")


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


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hierarchy made of folders."""
    (tmp_path / "a.slice/b.service").mkdir(parents=True)
    monkeypatch.setattr(cgroups, "cgroup2_mount", lambda: tmp_path)
    return tmp_path


def test_paths_by_id(mount: Path) -> None:
    """A cgroup's id is its folder's inode; what becomes known is told, once."""
    told: list[Step] = []
    paths = CgroupPaths(told.append)
    inode = (mount / "a.slice/b.service").stat().st_ino
    assert [paths.path(inode), paths.path(inode)] == ["/a.slice/b.service"] * 2
    assert paths.path(mount.stat().st_ino) == "/"
    assert told == [
        Named("cgroup", inode, "/a.slice/b.service"),
        Named("cgroup", mount.stat().st_ino, "/"),
    ]


def test_a_new_cgroup_is_found_later(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks some time must pass; what has been removed since stays known."""
    monkeypatch.setattr(cgroups, "_WALK_SECONDS_MIN", 3600.0)
    paths = CgroupPaths()
    old = (mount / "a.slice/b.service").stat().st_ino
    assert paths.path(old)
    new = mount / "new"
    new.mkdir()
    inode = new.stat().st_ino
    assert paths.path(inode) is None
    monkeypatch.setattr(paths, "_next_walk", 0.0)
    (mount / "a.slice/b.service").rmdir()
    assert paths.path(inode) == "/new"
    assert paths.path(old) == "/a.slice/b.service"


@pytest.mark.usefixtures("mount")
def test_a_cgroup_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's word is enough; and when there are too many, the oldest word is forgotten."""
    monkeypatch.setattr(cgroups, "_PATHS_KEPT", 3)
    paths = CgroupPaths()
    words = iter([{77: "/gone"}, {78: "/gone/too"}, {}])
    paths.made = lambda: next(words)
    assert [paths.path(77), paths.path(78), paths.path(77)] == ["/gone", "/gone/too", "/gone"]
    assert paths.path(79) is None
    paths.made = dict
    assert paths.path(77) == "/gone"
    assert paths.path(80) is None
    assert paths.path(77) is None


def test_without_a_hierarchy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where cgroup v2 is not mounted there are no paths, and nobody asks again."""

    def missing() -> Path:
        raise ConfigError("not mounted")

    monkeypatch.setattr(cgroups, "cgroup2_mount", missing)
    assert CgroupPaths().path(1) == ""


def test_a_name_that_is_no_text(mount: Path) -> None:
    """A folder's bytes that are not UTF-8 are U+FFFD in its path, and in those below it."""
    below = os.path.join(os.fsencode(mount), b"a\xff.slice", "ü.service".encode())
    os.makedirs(below)
    assert CgroupPaths().path(os.stat(below).st_ino) == "/a\ufffd.slice/ü.service"
