"""Reading the configuration again: what can change while agentd runs does, the rest is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from agentd.core.pace import Pace
from agentd.core.pipeline import Pipeline
from agentd.errors import ConfigError
from agentd.log import set_level
from agentd.outlets import Outlets
from agentd.pattern_limits import Undecided, make_redactor
from agentd.rounds import Rounds
from agentd.service import Service
from agentd.settings import Config
from agentd.stopping import reload_on_hang_up
from agentd.web.server import Door
from agentd.web.web_config import WebConfig, web_config_of


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
    """The parts that can change while they run. ``door``: None where nobody listens."""

    rounds: Rounds
    pipeline: Pipeline
    outlets: Outlets
    door: Door | None
    undecided: Undecided


class Reloading:
    """``load`` reads the configuration anew; it raises ConfigError if that is not good."""

    def __init__(
        self, config: Config, load: Callable[[], Config], parts: Changeable, log: Any
    ) -> None:
        self._config = config
        self._load = load
        self._parts = parts
        self._log = log

    def reload(self) -> None:
        """Do it. A bad file changes nothing."""
        try:
            asked = self._load()
            web_config = web_config_of(asked.metrics)
        except ConfigError as error:
            self._log.error("not reloaded", problem=str(error))
            return
        changed = changed_keys(self._config, asked)
        waiting = [name for name in changed if not _can_change(name, self._config, asked)]
        applied = [name for name in changed if name not in waiting]
        if self._is_rewritten(web_config) and WEB_CONFIG not in changed:
            applied.append(WEB_CONFIG)
        self._config = _with(self._config, asked, applied)
        self._apply(applied, web_config)
        if waiting:
            self._log.warning("needs a restart", keys=waiting, note="which loses nothing")
        self._log.info("reloaded", changed=applied)

    def _is_rewritten(self, web_config: WebConfig) -> bool:
        """Whether what the file says, or a certificate that it names, is another."""
        door = self._parts.door
        return door is not None and door.web_config != web_config

    def _apply(self, names: list[str], web_config: WebConfig) -> None:
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
        if parts.door is not None and not {WEB_CONFIG, "metrics.page"}.isdisjoint(names):
            parts.door.change(config.metrics, web_config)
        set_level(config.log.level)


class NothingToReload:
    """Stands where no file was given, or where a recording shall hold all that happens."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def reload(self) -> None:
        """Say so."""
        self._log.warning("nothing to reload", reason="started without --config, or with --record")


def reload_on_signal(
    reloading: Reloading | NothingToReload,
    service: Service,
    status: Callable[[], str],
    stop: Callable[[], None],
) -> None:
    """SIGHUP reads the configuration again; the service manager hears when that is done.

    ``stop`` is for a SIGHUP that comes because the terminal has gone away.
    """

    def reload() -> None:
        service.reloading()
        reloading.reload()
        service.ready(status())

    reload_on_hang_up(reload, stop)


WEB_CONFIG = "metrics.web_config"
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
