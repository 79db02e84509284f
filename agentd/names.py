"""What user and group ids are called on this host.

The name service may ask the network and take seconds, so it is asked in a thread: at the start for
all that it lists, later for a number that nobody has met. Until it has answered there is no name.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import time
from collections.abc import Callable

from agentd.core.journal import Journal, Named, no_journal
from agentd.core.text import as_text

_AGAIN_SECONDS = 60.0
"""A number without a name may be given one: the name service was not there yet, or it is new."""
_KEPT = 65536

Lookup = Callable[[int], str | None]
"""The name of an id, asked of the host."""


class IdNames:
    """Names of one sort of ids. ``sort`` is what they are called in a journal."""

    def __init__(self, sort: str, lookup: Lookup, wanted: asyncio.Event, journal: Journal) -> None:
        self._sort = sort
        self._lookup = lookup
        self._wanted = wanted
        self._journal = journal
        self._names: dict[int, str] = {}
        self._told: set[int] = set()
        self._unnamed: dict[int, float] = {}
        self._asked: set[int] = set()

    def name(self, number: int) -> str | None:
        """The name, if it is known; if not, it will be asked for."""
        name = self._names.get(number)
        if name is None:
            if self._unnamed.get(number, 0.0) < time.monotonic():
                self._asked.add(number)
                self._wanted.set()
        elif number not in self._told:
            self._told.add(number)
            self._journal(Named(self._sort, number, name))
        return name

    def add(self, names: dict[int, str]) -> None:
        """These are known without asking."""
        self._names.update({number: _text(name) for number, name in names.items()})

    async def answer(self) -> None:
        """Ask for all that was wanted."""
        asked, self._asked = self._asked, set()
        for number in asked:
            name = await asyncio.to_thread(self._lookup, number)
            for known in (self._names, self._unnamed):
                if len(known) >= _KEPT:
                    known.clear()
            if name is None:
                self._unnamed[number] = time.monotonic() + _AGAIN_SECONDS
            else:
                self._names[number] = _text(name)


class HostNames:
    """Users and groups. ``user`` and ``group`` never wait."""

    def __init__(self, journal: Journal = no_journal) -> None:
        self._wanted = asyncio.Event()
        self.users = IdNames("user", _user_name, self._wanted, journal)
        self.groups = IdNames("group", _group_name, self._wanted, journal)

    async def load(self) -> None:
        """All that the host lists."""
        users, groups = await asyncio.to_thread(_listed)
        self.users.add(users)
        self.groups.add(groups)

    async def run(self) -> None:
        """Answer what is asked, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self.users.answer()
            await self.groups.answer()


def _listed() -> tuple[dict[int, str], dict[int, str]]:
    """Of several names of one number the first counts, as for the lookup."""
    users = {user.pw_uid: user.pw_name for user in reversed(pwd.getpwall())}
    groups = {group.gr_gid: group.gr_name for group in reversed(grp.getgrall())}
    return users, groups


def _text(name: str) -> str:
    """A name as the C library gave it."""
    return as_text(os.fsencode(name))


def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return None


def _group_name(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OSError):
        return None
