"""What user and group ids are called on this host.

The name service may ask the network, and never answer. So a helper asks it: at the start for all
that it lists, later for numbers that nobody has met. Until it has answered there is no name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from agentd.core.steps import Journal, Named, no_journal
from agentd.helpers.client import USERS, HelperError, Helpers

_AGAIN_SECONDS = 60.0
"""A number without a name may be given one: the name service was not there yet, or it is new."""
_KEPT = 65536
_ASKED_MAX = 256
"""How many numbers of a sort are asked for at a time. Somebody may use as many as he likes."""
_NAME_CHARACTERS_MAX = 256
_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_PAUSE_SECONDS_MAX = 60.0
"""Between two requests; after one that failed twice as long as before."""
_ID_MAX = (1 << 32) - 1


class IdNames:
    """Names of one sort of ids. ``sort`` is what they are called in a journal."""

    def __init__(self, sort: str, wanted: asyncio.Event, journal: Journal) -> None:
        self._sort = sort
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
            if len(self._asked) < _ASKED_MAX and self._may_ask(number):
                self._asked.add(number)
                self._wanted.set()
        elif number not in self._told:
            self._told.add(number)
            self._journal(Named(self._sort, number, name))
        return name

    def _may_ask(self, number: int) -> bool:
        return self._unnamed.get(number, 0.0) < time.monotonic()

    def take_asked(self) -> list[int]:
        """The numbers that were asked for since the last time."""
        asked, self._asked = self._asked, set()
        return sorted(asked)

    def learn(self, number: int, name: str | None) -> None:
        """What a number is called; None: nothing, for now."""
        if name is None:
            self.give_up([number])
            return
        if len(self._names) >= _KEPT:
            self._names.clear()
            self._told.clear()
        self._names[number] = name

    def give_up(self, numbers: Iterable[int]) -> None:
        """Those that have no name yet are not asked for, for a while."""
        until = time.monotonic() + _AGAIN_SECONDS
        for number in numbers:
            if len(self._unnamed) >= _KEPT:
                self._unnamed.clear()
            if number not in self._names:
                self._unnamed[number] = until


class HostNames:
    """Users and groups. ``user`` and ``group`` never wait."""

    def __init__(self, helpers: Helpers, journal: Journal = no_journal) -> None:
        self._helpers = helpers
        self._wanted = asyncio.Event()
        self.users = IdNames("user", self._wanted, journal)
        self.groups = IdNames("group", self._wanted, journal)
        self._sorts = {"user": self.users, "group": self.groups}

    async def load(self) -> None:
        """All that the host lists, if it does."""
        await self._ask(None)

    async def run(self) -> None:
        """Answer what is asked, until cancelled."""
        pause_seconds = _PAUSE_SECONDS
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            asked = {sort: names.take_asked() for sort, names in self._sorts.items()}
            good = await self._ask(asked)
            for sort, numbers in asked.items() if not good else ():
                self._sorts[sort].give_up(numbers)
            pause_seconds = _PAUSE_SECONDS if good else min(2 * pause_seconds, _PAUSE_SECONDS_MAX)
            await asyncio.sleep(pause_seconds)

    async def _ask(self, asked: dict[str, list[int]] | None) -> bool:
        try:
            await self._helpers.ask(USERS, asked, _SECONDS, self._take)
        except HelperError:
            return False
        return True

    def _take(self, part: Any) -> None:
        sort, names = part
        for number, name in _checked(names):
            self._sorts[sort].learn(number, name)


def _checked(names: Any) -> Iterable[tuple[int, str | None]]:
    """Raises ValueError."""
    for number, name in names:
        if type(number) is not int or not 0 <= number <= _ID_MAX:
            raise ValueError("not an id")
        if name is not None and (not isinstance(name, str) or len(name) > _NAME_CHARACTERS_MAX):
            raise ValueError("not a name")
        yield number, name
