"""Cgroup paths, as users name them, to what the kernel compares."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agentd.errors import ConfigError
from agentd.host.cgroup_filter import CgroupFilter
from agentd.terminal.escape import printable_path

_ROOT_INODE = 1
"""Of the root of a whole kernfs hierarchy (fs/kernfs/dir.c, kernfs_create_root)."""


_MOUNT_FIELDS = 5
"""Of a line of mountinfo, up to the mount point."""


@dataclass(frozen=True, slots=True)
class _Mount:
    """One cgroup v2 mount of a mountinfo."""

    point: Path
    device: str
    """``major:minor``."""
    root: str
    """The folder of the hierarchy that is mounted, as seen from our cgroup namespace."""

    def is_whole(self) -> bool:
        """Whether the mount point shows the root of the hierarchy, and nothing hides it."""
        try:
            status = self.point.stat()
        except OSError:
            return False
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        return device == self.device and status.st_ino == _ROOT_INODE


def cgroup2_mount(mountinfo: str = "/proc/self/mountinfo") -> Path:
    """Where cgroup v2 is mounted. Raises ConfigError if it is not.

    Of several mounts the one that shows the whole hierarchy, from its root down.
    """
    # in a path, all but space, tab, newline and backslash stand as they are
    with open(mountinfo, newline="\n", encoding="utf-8", errors="surrogateescape") as file:
        mounts = list(_cgroup2_mounts(file))
    for is_better in (_Mount.is_whole, lambda mount: mount.root == "/", lambda mount: True):
        for mount in filter(is_better, mounts):
            return mount.point
    raise ConfigError(
        "filter.cgroup needs the cgroup v2 hierarchy, which is not mounted",
        "mount -t cgroup2 none /sys/fs/cgroup/unified",
    )


def _cgroup2_mounts(lines: Iterable[str]) -> Iterator[_Mount]:
    """In the order of a mountinfo (proc_pid_mountinfo(5))."""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if after.startswith("cgroup2 ") and len(fields) >= _MOUNT_FIELDS:
            device, root, point = fields[2], _unescaped(fields[3]), _unescaped(fields[4])
            if "\0" not in point:
                yield _Mount(Path(point), device, root)


def _unescaped(field: str) -> str:
    r"""Without the kernel's escapes: ``\040`` is a space (mangle(), fs/proc_namespace.c)."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def find_filter(path: str) -> CgroupFilter | None:
    """The filter for ``filter.cgroup``; None if that is empty or the root.

    Raises ConfigError if there is no such cgroup.
    """
    if not path.strip("/"):
        return None
    mount = cgroup2_mount()
    if mount.stat().st_ino != _ROOT_INODE:
        raise ConfigError(
            f'filter.cgroup = "{printable_path(path)}": {mount} is only a part of the hierarchy',
            "run agentd in the host's cgroup namespace (nsenter -C -t 1; docker's --cgroupns=host)",
        )
    folder = Path(os.path.normpath(mount / path.strip("/")))
    if not folder.is_relative_to(mount) or not (folder / "cgroup.procs").is_file():
        raise ConfigError(
            f'filter.cgroup = "{printable_path(path)}": there is no such cgroup',
            f"make it first (mkdir {printable_path(folder)}); paths are relative to {mount}",
        )
    level = len(folder.relative_to(mount).parts)
    return CgroupFilter(folder.stat().st_ino, level) if level else None
