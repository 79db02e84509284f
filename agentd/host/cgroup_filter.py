"""Which processes the programs report: those of one cgroup and of the cgroups below it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CgroupFilter:
    """The cgroup to keep to: its id (the inode of its folder) and its depth below the root."""

    cgroup_id: int
    level: int
