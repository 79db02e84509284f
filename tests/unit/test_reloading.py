"""agentd.reloading"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from agentd import copies, log
from agentd.core.pace import Pace
from agentd.errors import ConfigError
from agentd.front.checking import checked
from agentd.reloading import Changeable, Reloading
from agentd.settings import Config, Journal, Metrics


class _Parts:
    """All that can be changed, and what it was told."""

    def __init__(self) -> None:
        self.chosen: list[Config] = []
        self.orders: list[tuple[int, int]] = []
        self.front: list[dict[str, Any]] = []

    def set_pace(self, pace: Pace, round_bytes: int) -> None:
        """As Rounds has it."""

    def set_order(self, capacity: int, slack_ns: int) -> None:
        """As Pipeline has it."""
        self.orders.append((capacity, slack_ns))

    def choose(self, config: Config) -> None:
        """As Outlets has it."""
        self.chosen.append(config)

    def change(self, settings: dict[str, Any]) -> None:
        """As FrontKeeper has it."""
        self.front.append(settings)


class _Log:
    """Remembers what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **values: Any) -> None:
        """As structlog has it."""
        self.lines.append((event, values))

    warning = error = info


@pytest.fixture(autouse=True)
def level_as_it_was() -> Iterator[None]:
    """The log's level is the process's."""
    yield
    log.set_level("info")


def _reload(before: Config, asked: Config | ConfigError, web_config: bytes = b"") -> _Reloaded:
    async def load() -> Config:
        if isinstance(asked, ConfigError):
            raise asked
        return asked

    parts, told = _Parts(), _Log()
    every = cast(Any, parts)
    changeable = Changeable(every, every, every, every, every)
    asyncio.run(Reloading(before, load, changeable, told, web_config).reload())
    return parts, told.lines


_Reloaded = tuple[_Parts, list[tuple[str, dict[str, Any]]]]

EXECS = Config(journal=Journal(actions=("exec",)))
EXITS = Config(journal=Journal(actions=("exit",)))


def test_other_actions_for_the_journal() -> None:
    """Where events go to the journal others can; whether any do is decided at the start."""
    parts, lines = _reload(EXECS, EXITS)
    assert parts.chosen == [EXITS]
    assert lines == [("reloaded", {"changed": ["journal.actions"]})]
    for before, asked in ((Config(), EXECS), (EXECS, Config())):
        parts, lines = _reload(before, asked)
        assert not parts.chosen
        assert lines[0][1]["keys"] == ["journal.actions"]
        assert lines[1] == ("reloaded", {"changed": []})


def test_what_is_not_good_changes_nothing(tmp_path: Path) -> None:
    """Neither a bad file, nor a good one that names a bad web_config."""
    bad = replace(EXITS, metrics=Metrics(web_config=str(tmp_path / "none.yml")))
    for asked in (ConfigError("no"), bad):
        parts, ((event, values),) = _reload(EXECS, asked)
        assert event == "not reloaded"
        assert values["problem"] in ("no", f"{tmp_path}/none.yml: No such file or directory")
        assert not parts.chosen
        assert not parts.orders


def test_a_check_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there can be no process for it nothing changes, and nothing ends."""

    def no_process(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(copies, "copied", no_process)
    parts, ((event, values),) = _reload(EXECS, EXITS)
    assert event == "not reloaded"
    assert "it could not be checked" in values["problem"]
    assert not parts.chosen


def test_what_stands_in_web_config(tmp_path: Path) -> None:
    """The same path with other contents is a change; with the same contents it is none."""
    file = tmp_path / "web-config.yml"
    file.write_text("http_server_config: {headers: {X-Frame-Options: deny}}")
    config = Config(metrics=Metrics(web_config=str(file)))
    parts, lines = _reload(config, config)
    assert lines[-1] == ("reloaded", {"changed": ["metrics.web_config"]})
    assert parts.front[0]["metrics"]["web_config"] == str(file)
    same = asyncio.run(checked(config.metrics))
    parts, lines = _reload(config, config, same)
    assert lines[-1] == ("reloaded", {"changed": []})
    assert not parts.front
