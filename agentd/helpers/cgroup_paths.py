"""Paths of cgroups by their ids, for events that have only the id."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentd.core.steps import Journal, Named, no_journal
from agentd.core.text import as_text
from agentd.core.tree.images import path_bytes
from agentd.errors import ConfigError
from agentd.helpers.client import CGROUPS, HelperError, Helpers
from agentd.host.cgroups import cgroup2_mount

_PAUSE_SECONDS_MIN = 0.5
_PAUSE_FACTOR = 20
"""A walk is followed by so many times its own duration without one."""
_WALK_SECONDS = 10.0
_TEXT_BYTES_MAX = 8 << 20
_ENTRY_BYTES = 200
"""What an entry takes beside its text."""
_WANTED_MAX = 256
_WANTED_AGAIN_SECONDS = 60.0
"""How long one that a walk did not find is not looked for."""
_PATH_BYTES_MAX = 4096
_ID_MAX = (1 << 64) - 1
_TOLD_MAX = 65536


def _none_made() -> dict[int, str]:
    return {}


class _Paths:
    """Paths by id, as many as there is room for: the one that came first goes first."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._bytes = 0

    def get(self, cgroup_id: int) -> str | None:
        """One of them."""
        return self._paths.get(cgroup_id)

    def add(self, cgroup_id: int, path: str) -> None:
        """One more, or another path of one."""
        before = self._paths.pop(cgroup_id, None)
        if before is not None:
            self._bytes -= path_bytes(before) + _ENTRY_BYTES
        self._paths[cgroup_id] = path
        self._bytes += path_bytes(path) + _ENTRY_BYTES
        while self._bytes > _TEXT_BYTES_MAX:
            oldest = next(iter(self._paths))
            self._bytes -= path_bytes(self._paths.pop(oldest)) + _ENTRY_BYTES


class CgroupPaths:
    """Paths of cgroups by their ids.

    One that is not known is looked for among those that the kernel has just made, gone again or
    not. Else a helper walks through the hierarchy, and until it has come by there is no path.
    """

    def __init__(self, helpers: Helpers | None = None, journal: Journal = no_journal) -> None:
        self.made: Callable[[], dict[int, str]] = _none_made
        """Those that are new, if somebody is told of them."""
        self._helpers = helpers
        self._paths = _Paths()
        self._told: set[int] = set()
        self._journal = journal
        self._wanted: set[int] = set()
        self._missing: dict[int, float] = {}
        """Those that a walk has not found, and until when they are not looked for."""
        self._asked = asyncio.Event()
        try:
            self._mount: Path | None = cgroup2_mount()
        except ConfigError:
            self._mount = None

    def path(self, cgroup_id: int) -> str | None:
        """The path below the mount; None where it is not known (yet), empty without a mount."""
        if self._mount is None:
            return ""
        path = self._paths.get(cgroup_id)
        if path is None:
            for made_id, made in self.made().items():
                self._paths.add(made_id, made)
            path = self._paths.get(cgroup_id)
        if path is None:
            self._want(cgroup_id)
        elif cgroup_id not in self._told:
            if len(self._told) >= _TOLD_MAX:
                self._told.clear()
            self._told.add(cgroup_id)
            self._journal(Named("cgroup", cgroup_id, path))
        return path

    async def load(self) -> None:
        """Those that there are, the shallow ones first."""
        await self._walk()

    async def run(self) -> None:
        """Look for what is asked for, until cancelled."""
        while True:
            await self._asked.wait()
            begun = time.monotonic()
            await self._walk()
            took_seconds = time.monotonic() - begun
            await asyncio.sleep(max(_PAUSE_SECONDS_MIN, _PAUSE_FACTOR * took_seconds))

    def _want(self, cgroup_id: int) -> None:
        until = self._missing.get(cgroup_id)
        if len(self._wanted) < _WANTED_MAX and (until is None or until < time.monotonic()):
            self._wanted.add(cgroup_id)
            self._asked.set()

    async def _walk(self) -> None:
        if self._mount is None or self._helpers is None:
            return
        wanted, self._wanted = self._wanted, set()
        self._asked.clear()
        with contextlib.suppress(HelperError):
            asked = [str(self._mount), sorted(wanted)]
            await self._helpers.ask(CGROUPS, asked, _WALK_SECONDS, self._take)
        if len(self._missing) >= _TOLD_MAX:
            self._missing.clear()
        until = time.monotonic() + _WANTED_AGAIN_SECONDS
        self._missing.update((one, until) for one in wanted if self._paths.get(one) is None)

    def _take(self, part: Any) -> None:
        """Raises ValueError for what is no part of a walk."""
        for cgroup_id, path in part:
            if type(cgroup_id) is not int or not 0 <= cgroup_id <= _ID_MAX:
                raise ValueError("not a cgroup's id")
            if not isinstance(path, bytes) or len(path) > _PATH_BYTES_MAX:
                raise ValueError("not a cgroup's path")
            self._paths.add(cgroup_id, as_text(path))
