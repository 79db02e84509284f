"""The cgroups of the host, with their paths, the shallow ones first.

Anybody with a cgroup of his own may make tens of thousands below it, at the end of paths as long as
he likes. So the walk has bounds, and those that it does not get to have no path.

Parts: ``[[id, path], …]``, a path as bytes, below the mount.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from agentd.helpers.worker import Answers, Progress

PATH_BYTES_MAX = 4095
"""Longer ones cannot be opened (PATH_MAX), and are left out."""
FOLDERS_MAX = 1 << 18
"""How many are walked."""
TEXT_BYTES_MAX = 4 << 20
"""How much is sent of what nobody has asked for."""
_PART_BYTES = 1 << 15


class _Folder(NamedTuple):
    """One that is still to be opened. Only names are kept: a path is made when it is needed."""

    name: bytes
    above: _Folder | None
    path_bytes: int

    def path(self) -> bytes:
        names = []
        folder: _Folder | None = self
        while folder is not None and folder.name:
            names.append(folder.name)
            folder = folder.above
        return b"/" + b"/".join(reversed(names))


def run(answers: Answers, asked: Any, progress: Progress) -> None:
    """``asked``: the mount, and ids whose paths are wanted, beside those that come first."""
    mount, wanted = asked
    sending = _Sending(answers, frozenset(wanted))
    sending.add(os.stat(mount).st_ino, _Folder(b"", None, 0))
    waiting = deque([_Folder(b"", None, 0)])
    walked = 0
    while waiting and walked < FOLDERS_MAX:
        folder = waiting.popleft()
        for inode, name in _folders_in(os.fsencode(mount) + folder.path()):
            below = _Folder(name, folder, folder.path_bytes + 1 + len(name))
            if below.path_bytes > PATH_BYTES_MAX or walked >= FOLDERS_MAX:
                continue
            walked += 1
            sending.add(inode, below)
            waiting.append(below)
    sending.end()
    answers.done()


class _Sending:
    """Sends what is wanted, and of the rest as much as there is room for."""

    def __init__(self, answers: Answers, wanted: frozenset[int]) -> None:
        self._answers = answers
        self._wanted = wanted
        self._room = TEXT_BYTES_MAX
        self._part: list[list[Any]] = []
        self._part_bytes = 0

    def add(self, inode: int, folder: _Folder) -> None:
        """One more."""
        if inode not in self._wanted:
            if folder.path_bytes > self._room:
                return
            self._room -= folder.path_bytes
        self._part.append([inode, folder.path()])
        self._part_bytes += folder.path_bytes + 16
        if self._part_bytes >= _PART_BYTES:
            self.end()

    def end(self) -> None:
        """Send what is left."""
        if self._part:
            self._answers.part(self._part)
        self._part, self._part_bytes = [], 0


def _folders_in(folder: bytes) -> Iterator[tuple[int, bytes]]:
    """Inodes and names; nothing where it has gone meanwhile."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield entry.inode(), entry.name
    except OSError:
        return
