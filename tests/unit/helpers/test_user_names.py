"""agentd.helpers.user_names"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
from typing import Any

import pytest

from agentd.core.steps import Named, Step
from agentd.helpers import user_names
from agentd.helpers.client import HelperError
from agentd.helpers.user_names import HostNames
from tests.helpers import FakeHelpers, with_helpers


def test_what_the_host_lists_is_known_from_the_start() -> None:
    """Our own user and group have the names that the name service gives."""

    async def ours(helpers: Any) -> tuple[str | None, str | None]:
        host = HostNames(helpers)
        await host.load()
        return host.users.name(os.getuid()), host.groups.name(os.getgid())

    expected = (pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
    assert with_helpers(ours) == expected


def test_an_unknown_id_is_asked_for() -> None:
    """The first time there is no name, later there is; what became known is told, once."""
    told: list[Step] = []
    helpers = FakeHelpers([[("user", ((7, "joe"),))]])

    async def ask() -> list[str | None]:
        host = HostNames(helpers, told.append)
        task = asyncio.create_task(host.run())
        first = host.users.name(7)
        await helpers.answered.wait()
        task.cancel()
        return [first, host.users.name(7), host.users.name(7)]

    assert asyncio.run(ask()) == [None, "joe", "joe"]
    assert helpers.asked == [("users", {"user": [7], "group": []})]
    assert told == [Named("user", 7, "joe")]


@pytest.mark.parametrize("answer", [[("user", ((7, None),))], HelperError("stuck")])
def test_an_id_without_a_name_is_not_asked_for_at_once(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    """But after a while: it may have been given one, or the name service is there again."""

    async def ask(again_seconds: float) -> list[int]:
        monkeypatch.setattr(user_names, "_AGAIN_SECONDS", again_seconds)
        helpers = FakeHelpers([answer])
        host = HostNames(helpers)
        task = asyncio.create_task(host.run())
        host.users.name(7)
        await helpers.answered.wait()
        await asyncio.sleep(0)
        task.cancel()
        assert host.users.name(7) is None
        return host.users.take_asked()

    assert asyncio.run(ask(3600.0)) == []
    assert asyncio.run(ask(-1.0)) == [7]


@pytest.mark.parametrize(
    "part",
    [None, 7, ("user",), ("robot", ()), ("user", ((-1, "x"),)), ("user", ((True, "x"),)),
     ("user", ((1, b"x"),)), ("user", ((1, "x" * 257),)), ("group", ((1 << 32, "x"),))],
)  # fmt: skip
def test_what_are_no_names_is_a_failure(part: Any) -> None:
    """A helper that says something else has failed, and nothing is learnt."""

    async def load() -> bool:
        host = HostNames(FakeHelpers([[part]]))
        await host.load()
        return host.users.name(1) is None

    assert asyncio.run(load())


def test_there_is_a_bound_to_what_is_asked() -> None:
    """Somebody who runs as a thousand users has the rest asked for later."""
    host = HostNames(FakeHelpers([]))
    for number in range(1000):
        host.users.name(number)
    assert len(host.users.take_asked()) == 256
