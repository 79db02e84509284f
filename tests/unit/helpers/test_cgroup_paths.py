"""agentd.helpers.cgroup_paths"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from agentd.core.steps import Named, Step
from agentd.errors import ConfigError
from agentd.helpers import cgroup_paths
from agentd.helpers.cgroup_paths import CgroupPaths
from agentd.helpers.client import Helpers
from tests.helpers import FakeHelpers, with_helpers


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hierarchy made of folders."""
    (tmp_path / "a.slice/b.service").mkdir(parents=True)
    monkeypatch.setattr(cgroup_paths, "cgroup2_mount", lambda: tmp_path)
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
    monkeypatch.setattr(cgroup_paths, "_TEXT_BYTES_MAX", 600)
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

    monkeypatch.setattr(cgroup_paths, "cgroup2_mount", missing)
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
