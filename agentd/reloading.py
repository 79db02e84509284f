"""Reading the configuration again: what can change while agentd runs does, the rest is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from agentd.core.pace import Pace
from agentd.core.pipeline import Pipeline
from agentd.core.redact import Redactor
from agentd.errors import ConfigError
from agentd.rounds import Rounds
from agentd.settings import Config


def changed_keys(before: Config, after: Config) -> list[str]:
    """The keys that differ, as ``section.key``."""
    return [
        f"{section.name}.{key.name}"
        for section in fields(Config)
        for key in fields(getattr(before, section.name))
        if getattr(getattr(before, section.name), key.name)
        != getattr(getattr(after, section.name), key.name)
    ]


class Reloading:
    """``load`` reads the configuration anew; it raises ConfigError if that is not good."""

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        rounds: Rounds,
        pipeline: Pipeline,
        log: Any,
    ) -> None:
        self._config = config
        self._load = load
        self._rounds = rounds
        self._pipeline = pipeline
        self._log = log

    def reload(self) -> None:
        """Do it. A bad file changes nothing."""
        try:
            asked = self._load()
        except ConfigError as error:
            self._log.error("not reloaded", problem=str(error))
            return
        changed = changed_keys(self._config, asked)
        applied = [name for name in changed if name in RELOADABLE]
        self._config = _with(self._config, asked, applied)
        self._apply(applied)
        waiting = [name for name in changed if name not in RELOADABLE]
        if waiting:
            self._log.warning("needs a restart", keys=waiting, note="which loses nothing")
        self._log.info("reloaded", changed=applied)

    def _apply(self, names: list[str]) -> None:
        transport, reorder = self._config.transport, self._config.reorder
        pace = Pace(transport.batch_delay_ms / 1e3, transport.batch_delay_max_ms / 1e3)
        self._rounds.set_pace(pace, transport.round_bytes)
        self._pipeline.set_order(reorder.capacity, reorder.slack_us * 1000)
        if "redact.patterns" in names:
            self._pipeline.tree.redact_with(Redactor(self._config.redact.patterns).redact)


RELOADABLE = (
    "transport.batch_delay_ms",
    "transport.batch_delay_max_ms",
    "transport.round_bytes",
    "reorder.capacity",
    "reorder.slack_us",
    "redact.patterns",
)


def _with(config: Config, asked: Config, names: list[str]) -> Config:
    """The configuration with these keys as asked."""
    for name in names:
        section, key = name.split(".")
        value = getattr(getattr(asked, section), key)
        config = replace(config, **{section: replace(getattr(config, section), **{key: value})})
    return config
