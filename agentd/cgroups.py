"""Cgroup paths, as users name them, to what the kernel compares."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from agentd.cgroup_filter import CgroupFilter
from agentd.core.journal import Journal, Named, no_journal
from agentd.core.text import as_text
from agentd.errors import ConfigError

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


_WALK_SECONDS_MIN = 0.5
_PATHS_KEPT = 65536


def _none_made() -> dict[int, str]:
    return {}


class CgroupPaths:
    """Paths of cgroups by their ids.

    One that is not known is looked for among those that the kernel has just made, gone again or
    not, and else in the whole hierarchy.
    """

    def __init__(self, journal: Journal = no_journal) -> None:
        self.made: Callable[[], dict[int, str]] = _none_made
        """Those that are new, if somebody is told of them."""
        self._paths: dict[int, str] = {}
        self._told: set[int] = set()
        self._journal = journal
        self._next_walk = 0.0
        try:
            self._mount: Path | None = cgroup2_mount()
        except ConfigError:
            self._mount = None

    def path(self, cgroup_id: int) -> str | None:
        """The path below the mount; None where it was not found (yet), empty without a mount."""
        if self._mount is None:
            return ""
        path = self._paths.get(cgroup_id)
        if path is None:
            path = self._made(cgroup_id)
        if path is None and time.monotonic() >= self._next_walk:
            self._walk(self._mount)
            path = self._paths.get(cgroup_id)
        if path is not None and cgroup_id not in self._told:
            self._told.add(cgroup_id)
            self._journal(Named("cgroup", cgroup_id, path))
        return path

    def _made(self, cgroup_id: int) -> str | None:
        if len(self._paths) > _PATHS_KEPT:
            self._paths.clear()
            self._told.clear()
        self._paths.update(self.made())
        return self._paths.get(cgroup_id)

    def _walk(self, mount: Path) -> None:
        self._paths[mount.stat().st_ino] = "/"
        folders = [(str(mount), "")]
        while folders:
            folder, path = folders.pop()
            for inode, name in _folders_in(folder):
                inside = f"{path}/{as_text(os.fsencode(name))}"
                self._paths[inode] = inside
                folders.append((f"{folder}/{name}", inside))
        self._next_walk = time.monotonic() + _WALK_SECONDS_MIN


def _folders_in(folder: str) -> list[tuple[int, str]]:
    """Inodes and names; nothing where it has gone meanwhile."""
    try:
        with os.scandir(folder) as entries:
            return [(e.inode(), e.name) for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
