"""agentd.cgroups"""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd import cgroups
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
