"""agentd.names"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd

from agentd import names
from agentd.core.journal import Named, Step
from agentd.names import HostNames, IdNames


def test_what_the_host_lists_is_known_from_the_start() -> None:
    """Our own user and group have the names that the name service gives."""

    async def ours() -> tuple[str | None, str | None]:
        host = HostNames()
        await host.load()
        return host.users.name(os.getuid()), host.groups.name(os.getgid())

    expected = (pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
    assert asyncio.run(ours()) == expected


def test_an_unknown_id_is_asked_for() -> None:
    """The first time there is no name, later there is; what became known is told, once."""
    told: list[Step] = []
    asked: list[int] = []

    def lookup(number: int) -> str | None:
        asked.append(number)
        return "joe"

    async def ask() -> list[str | None]:
        ids = IdNames("user", lookup, asyncio.Event(), told.append)
        first = ids.name(7)
        await ids.answer()
        return [first, ids.name(7), ids.name(7)]

    assert asyncio.run(ask()) == [None, "joe", "joe"]
    assert asked == [7]
    assert told == [Named("user", 7, "joe")]


def test_an_id_without_a_name_is_not_asked_for_at_once() -> None:
    """But after a while: it may have been given one."""

    async def ask(again_seconds: float) -> bool:
        wanted = asyncio.Event()
        ids = IdNames("group", lambda number: None, wanted, lambda step: None)
        names._AGAIN_SECONDS, before = again_seconds, names._AGAIN_SECONDS
        ids.name(7)
        await ids.answer()
        names._AGAIN_SECONDS = before
        wanted.clear()
        assert ids.name(7) is None
        return wanted.is_set()

    assert asyncio.run(ask(3600.0)) is False
    assert asyncio.run(ask(-1.0)) is True


def test_a_name_that_is_no_text() -> None:
    """Bytes that are not UTF-8, as the C library's names may have, are U+FFFD."""
    names = HostNames()
    names.users.add({7: "a\udcff"})
    assert names.users.name(7) == "a\ufffd"
