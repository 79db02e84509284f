"""The configuration, read and checked in a child process, and rebuilt from plain values.

So neither a file that cannot be read to its end nor a pattern that takes gigabytes to compile
reaches the process that asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from agentd.config.load import config_of, load_config
from agentd.config.schema import Config
from agentd.runtime.trial import run_in_child, run_in_child_async
from agentd.terminal.escape import printable_path

Plain = dict[str, dict[str, Any]]
"""A configuration as texts, numbers and tuples, by section and key."""


def load_tried_config(path: Path | None, assignments: Sequence[str] = ()) -> Config:
    """As ``load_config``. Raises ConfigError. (``front.checking`` is for the web-config.)"""
    if path is None and not assignments:
        return Config()
    return from_plain(run_in_child(_named(path), lambda: _load(path, assignments)))


async def reload_tried_config(path: Path, assignments: Sequence[str] = ()) -> Config:
    """The same, while the event loop goes on."""
    return from_plain(await run_in_child_async(_named(path), lambda: _load(path, assignments)))


def try_config(values: Any, source: str) -> Config:
    """As ``config.config_of``. Raises ConfigError."""
    return from_plain(run_in_child(source, lambda: _plain(config_of(values, source))))


def from_plain(plain: Plain) -> Config:
    """The configuration that such values were made of."""
    config = Config()
    sections = {name: replace(getattr(config, name), **keys) for name, keys in plain.items()}
    return replace(config, **sections)


def _named(path: Path | None) -> str:
    return "--set" if path is None else printable_path(path)


def _load(path: Path | None, assignments: Sequence[str]) -> Plain:
    return _plain(load_config(path, assignments))


def _plain(config: Config) -> Plain:
    plain = asdict(config)
    return {section.name: plain[section.name] for section in fields(Config)}
