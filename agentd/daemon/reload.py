"""Reading the configuration again: what can change while agentd runs does, the rest is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from agentd.config.schema import Config
from agentd.core.pipeline import Pipeline
from agentd.daemon.batch_delay import Pace
from agentd.daemon.loop import Rounds
from agentd.daemon.outputs import Outlets
from agentd.errors import AgentdError, ConfigError
from agentd.filters.pattern_limits import Undecided, make_redactor
from agentd.front.checking import checked
from agentd.front.keeper import FrontKeeper, front_settings
from agentd.front.listeners import CheckedWebConfig
from agentd.log.setup import set_level
from agentd.runtime.stopping import reload_on_hang_up
from agentd.systemd.notify import Service


def changed_keys(before: Config, after: Config) -> list[str]:
    """The keys that differ, as ``section.key``."""
    return [
        f"{section.name}.{key.name}"
        for section in fields(Config)
        for key in fields(getattr(before, section.name))
        if getattr(getattr(before, section.name), key.name)
        != getattr(getattr(after, section.name), key.name)
    ]


@dataclass(frozen=True, slots=True)
class Changeable:
    """The parts that can change while they run."""

    rounds: Rounds
    pipeline: Pipeline
    outlets: Outlets
    front: FrontKeeper
    undecided: Undecided


class Reloading:
    """``load`` reads the configuration anew; it raises ConfigError if that is not good.

    ``web_config``: the one that holds.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Awaitable[Config]],
        parts: Changeable,
        log: Any,
        web_config: CheckedWebConfig,
    ) -> None:
        self._web_config = web_config
        self._config = config
        self._load = load
        self._parts = parts
        self._log = log

    async def reload(self) -> None:
        """Do it. A bad file changes nothing."""
        try:
            asked = await self._load()
            web_config = await checked(asked)
            self._check_protection(asked, web_config)
        except AgentdError as error:
            self._log.error("not reloaded", problem=str(error))
            return
        changed = changed_keys(self._config, asked)
        waiting = [name for name in changed if not _can_change(name, self._config, asked)]
        applied = [name for name in changed if name not in waiting]
        sections = _changed_sections(self._web_config, web_config)
        self._web_config.close()
        self._web_config = web_config
        self._config = _with(self._config, asked, applied)
        self._apply(applied, front=bool(sections) or not _OF_THE_FRONT.isdisjoint(applied))
        if waiting:
            self._log.warning("needs a restart", keys=waiting, note="which loses nothing")
        self._log.info("reloaded", changed=applied + sections)

    def _check_protection(self, asked: Config, web_config: CheckedWebConfig) -> None:
        """Refuse a web-config that is half written, or gone. Raises ConfigError.

        It must not open to everybody what was closed until now.
        """
        gone = self._web_config.protection - web_config.protection
        if gone and self._config.metrics.listen:
            web_config.close()
            raise ConfigError(
                f"{asked.metrics.web_config or WEB_CONFIG}: asks no longer for"
                f" {' and '.join(sorted(gone))}, and the port would be open without",
                "if that is meant, restart agentd",
            )

    def _apply(self, names: list[str], *, front: bool) -> None:
        config, parts = self._config, self._parts
        transport, reorder = config.transport, config.reorder
        pace = Pace(transport.batch_delay_ms / 1e3, transport.batch_delay_max_ms / 1e3)
        parts.rounds.set_pace(pace, transport.round_bytes)
        parts.pipeline.set_order(reorder.capacity, reorder.slack_us * 1000)
        if "redact.patterns" in names:
            redactor = make_redactor(config.redact.patterns, parts.undecided)
            parts.pipeline.tree.images.redact_with(redactor.redact)
        if not _CHOICES.isdisjoint(names):
            parts.outlets.choose(config)
        if front:
            parts.front.change(front_settings(config), self._web_config.fd)
        set_level(config.log.level)


class NothingToReload:
    """Stands where no file was given, or where a recording shall hold all that happens."""

    def __init__(self, log: Any) -> None:
        self._log = log

    async def reload(self) -> None:
        """Say so."""
        self._log.warning("nothing to reload", reason="started without --config, or with --record")


async def reload_on_signal(
    reloading: Reloading | NothingToReload,
    service: Service,
    status: Callable[[], str],
    stop: Callable[[], None],
) -> None:
    """For ever: SIGHUP reads the configuration again; the service manager hears of the end.

    ``stop`` is for a SIGHUP that comes because the terminal has gone away.
    """
    asked = asyncio.Event()
    reload_on_hang_up(asked.set, stop)
    while True:
        await asked.wait()
        asked.clear()
        service.reloading()
        await reloading.reload()
        service.ready(status())


WEB_CONFIG = "metrics.web_config"
_OF_THE_FRONT = {WEB_CONFIG, "metrics.page", "log.level"}
_CHOICES = {"output.filter", "journal.filter", "journal.actions"}
RELOADABLE = _CHOICES | {
    "transport.batch_delay_ms",
    "transport.batch_delay_max_ms",
    "transport.round_bytes",
    "reorder.capacity",
    "reorder.slack_us",
    "redact.patterns",
    "metrics.page",
    WEB_CONFIG,
    "log.level",
}


def _changed_sections(before: CheckedWebConfig, after: CheckedWebConfig) -> list[str]:
    """The sections whose contents differ, those of certificates too."""
    names = {*before.sections, *after.sections}
    return [
        f"{WEB_CONFIG}:{name}"
        for name in sorted(names)
        if before.sections.get(name) != after.sections.get(name)
    ]


def _can_change(name: str, before: Config, asked: Config) -> bool:
    """Whether a key can. There is a journal's sink or there is none, by whether it has actions."""
    if name == "journal.actions":
        return bool(before.journal.actions) and bool(asked.journal.actions)
    return name in RELOADABLE


def _with(config: Config, asked: Config, names: list[str]) -> Config:
    """The configuration with these keys as asked."""
    for name in names:
        section, key = name.split(".")
        value = getattr(getattr(asked, section), key)
        config = replace(config, **{section: replace(getattr(config, section), **{key: value})})
    return config
