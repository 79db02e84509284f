"""agentd.cgroups"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agentd import cgroups
from agentd.cgroups import CgroupPaths
from agentd.core.journal import Named, Step
from agentd.errors import ConfigError
from agentd.helpers.client import Helpers
from tests.helpers import FakeHelpers, with_helpers

LINE = "30 20 0:26 / {} rw,relatime shared:9 - {} none rw\n"


def test_paths_are_bounded_in_bytes() -> None:
    """Of characters that take four bytes each, too; the one that came first goes first."""
    paths = cgroups._Paths()
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


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hierarchy made of folders."""
    (tmp_path / "a.slice/b.service").mkdir(parents=True)
    monkeypatch.setattr(cgroups, "cgroup2_mount", lambda: tmp_path)
    return tmp_path


def test_paths_by_id(mount: Path) -> None:
    """A cgroup's id is its folder's inode; what becomes known is told, once."""
    told: list[Step] = []
    inode = (mount / "a.slice/b.service").stat().st_ino

    async def look(helpers: Helpers) -> list[str | None]:
        paths = CgroupPaths(helpers, told.append)
        before = paths.path(inode)
        await paths.load()
        return [before, *(paths.path(one) for one in (inode, inode, mount.stat().st_ino))]

    assert with_helpers(look) == [None, *["/a.slice/b.service"] * 2, "/"]
    assert told == [
        Named("cgroup", inode, "/a.slice/b.service"),
        Named("cgroup", mount.stat().st_ino, "/"),
    ]


def test_a_new_cgroup_is_found_later(mount: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for when it is met; what has been removed since stays known."""
    old = (mount / "a.slice/b.service").stat().st_ino

    async def look(helpers: Helpers) -> tuple[str | None, str | None]:
        paths = CgroupPaths(helpers)
        await paths.load()
        walking = asyncio.create_task(paths.run())
        new = mount / "new"
        new.mkdir()
        inode = new.stat().st_ino
        assert paths.path(inode) is None
        (mount / "a.slice/b.service").rmdir()
        async with asyncio.timeout(30):
            while paths.path(inode) is None:
                await asyncio.sleep(0.01)
        walking.cancel()
        return paths.path(inode), paths.path(old)

    assert with_helpers(look) == ("/new", "/a.slice/b.service")


@pytest.mark.usefixtures("mount")
def test_a_cgroup_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's word is enough; where there is no room for more the oldest is forgotten."""
    monkeypatch.setattr(cgroups, "_TEXT_BYTES_MAX", 600)
    paths = CgroupPaths()
    words = iter([{77: "/gone"}, {78: "/gone/too"}, {79: "/a"}])
    paths.made = lambda: next(words, {})
    assert [paths.path(77), paths.path(78), paths.path(77)] == ["/gone", "/gone/too", "/gone"]
    assert paths.path(79) == "/a"
    assert paths.path(77) is None
    assert paths.path(78) == "/gone/too"


@pytest.mark.usefixtures("mount")
def test_one_that_is_not_found_is_looked_for_once() -> None:
    """For a while: whoever makes and removes cgroups makes no more walks."""
    helpers = FakeHelpers([[((1, b"/x"),)], []])

    async def look() -> list[list[int]]:
        paths = CgroupPaths(helpers)
        paths.path(77)
        await paths.load()
        paths.path(77)
        paths.path(78)
        await paths.load()
        return [arguments[1] for _, arguments in helpers.asked]

    assert asyncio.run(look()) == [[77], [78]]


@pytest.mark.usefixtures("mount")
@pytest.mark.parametrize(
    "part", [7, (7,), ((7, "/x"),), ((-1, b"/x"),), ((1.5, b"/x"),), ((7, b"/" * 5000),)]
)
def test_what_is_no_path_is_a_failure(part: Any) -> None:
    """A helper that says something else has failed, and nothing is learnt."""

    async def look() -> str | None:
        paths = CgroupPaths(FakeHelpers([[part]]))
        await paths.load()
        return paths.path(7)

    assert asyncio.run(look()) is None


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

    async def look(helpers: Helpers) -> str | None:
        paths = CgroupPaths(helpers)
        await paths.load()
        return paths.path(os.stat(below).st_ino)

    assert with_helpers(look) == "/a\ufffd.slice/ü.service"
