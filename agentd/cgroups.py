"""Cgroup paths, as users name them, to what the kernel compares."""

from __future__ import annotations

import os
from pathlib import Path

from agentd.errors import ConfigError
from agentd.kernel.program import CgroupFilter

_ROOT_INODE = 1
"""Of the root of a whole kernfs hierarchy (fs/kernfs/dir.c, kernfs_create_root)."""


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
    if mount.stat().st_ino != _ROOT_INODE:
        raise ConfigError(
            f'filter.cgroup = "{path}": {mount} is only a part of the hierarchy',
            "run agentd in the host's cgroup namespace (nsenter -C -t 1; docker's --cgroupns=host)",
        )
    folder = Path(os.path.normpath(mount / path.strip("/")))
    if not folder.is_relative_to(mount) or not (folder / "cgroup.procs").is_file():
        raise ConfigError(
            f'filter.cgroup = "{path}": there is no such cgroup',
            f"make it first (mkdir {folder}); paths are relative to {mount}",
        )
    level = len(folder.relative_to(mount).parts)
    return CgroupFilter(folder.stat().st_ino, level) if level else None
