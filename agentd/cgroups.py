"""Cgroup paths, as users name them, to what the kernel compares."""

from __future__ import annotations

import os
from pathlib import Path

from agentd.errors import ConfigError
from agentd.kernel.program import CgroupFilter


def cgroup2_mount(mountinfo: str = "/proc/self/mountinfo") -> Path:
    """Where cgroup v2 is mounted. Raises ConfigError if it is not."""
    with open(mountinfo) as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                return Path(before.split()[4])
    raise ConfigError(
        "filter.cgroup needs the cgroup v2 hierarchy, which is not mounted",
        "mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def find_filter(path: str) -> CgroupFilter | None:
    """The filter for ``filter.cgroup``; None if that is empty or the root.

    Raises ConfigError if there is no such cgroup.
    """
    if not path.strip("/"):
        return None
    mount = cgroup2_mount()
    folder = Path(os.path.normpath(mount / path.strip("/")))
    if not folder.is_relative_to(mount) or not (folder / "cgroup.procs").is_file():
        raise ConfigError(
            f'filter.cgroup = "{path}": there is no such cgroup',
            f"make it first (mkdir {folder}); paths are relative to {mount}",
        )
    level = len(folder.relative_to(mount).parts)
    return CgroupFilter(folder.stat().st_ino, level) if level else None
