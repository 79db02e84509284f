"""The configuration: TOML to the settings, with errors that name what is wrong and the way out."""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from agentd.config.files import UnreadableFileError, read_file
from agentd.config.schema import Config
from agentd.config.toml_writer import key_lines, shown
from agentd.errors import ConfigError
from agentd.terminal.escape import printable_path, shortened


def load_config(path: Path | None, assignments: Iterable[str] = ()) -> Config:
    """The configuration from a file, if one is given, changed by ``section.key=value`` texts.

    Raises ConfigError that names the file or the assignment, the key, and what is allowed.
    """
    config = Config()
    if path is not None:
        config = _apply(config, _read(path), printable_path(path))
    for assignment in assignments:
        config = _apply(config, _parse_assignment(assignment), f"--set {shortened(assignment)}")
    return config


def config_of(values: Any, source: str) -> Config:
    """The configuration from values by section and key. Raises ConfigError as ``load_config``."""
    return _apply(Config(), _table(values, source), source)


def checked_keys(kind: Any, table: Any, name: str, source: str) -> dict[str, Any]:
    """The values of a dataclass whose fields were declared with ``settings.key``, each checked.

    ``kind``: the dataclass, or one of it. Raises ConfigError that names ``source`` and the key.
    """
    keys = {key.name: key for key in fields(kind)}
    hints = get_type_hints(kind if isinstance(kind, type) else type(kind))
    table = _table(table, f"{source}: {name}")
    checked: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    for key, value in checked.items():
        if key not in keys:
            raise ConfigError(f"{source}: unknown key {name}.{shortened(key)}", _closest(key, keys))
        problem = _problem(keys[key], hints[key], value)
        if problem:
            raise ConfigError(f"{source}: {name}.{key} = {shown(value)}: {problem}")
    return checked


def default_toml() -> str:
    """The text of ``config/agentd.toml``: each key at its default with its line of comment."""
    lines = [
        "# agentd: every key at its default. `agentd check-config FILE` checks a changed one.",
        "",
    ]
    for section in fields(Config):
        settings: Any = section.default
        lines += [f"# {type(settings).__doc__}", f"[{section.name}]"]
        for key in fields(settings):
            lines.append(f"# {key.metadata['meaning']}{_allowed_suffix(key)}")
            lines += key_lines(key.name, key.default)
        lines.append("")
    return "\n".join(lines)


_NOT_TOML = (ValueError, RecursionError)
"""What tomllib raises: of its own, for bytes that are no text, for endless numbers and nests."""


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_file(path).decode())
    except UnreadableFileError as error:
        raise ConfigError(f"{printable_path(path)}: cannot be read: {error}") from None
    except _NOT_TOML as error:
        raise ConfigError(
            f"{printable_path(path)}: is not valid TOML: {shortened(str(error))}"
        ) from None


def _parse_assignment(assignment: str) -> dict[str, Any]:
    """``section.key=value``; the value is TOML, or plain text where that is not TOML."""
    name, equals, text = assignment.partition("=")
    section, dot, key = map(str.strip, name.partition("."))
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {shortened(assignment)}: must be section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except _NOT_TOML:
        value = text.strip()
    return {section: {key: value}}


def _apply(config: Config, values: Mapping[str, Any], source: str) -> Config:
    sections = {section.name for section in fields(Config)}
    for name, table in values.items():
        if name not in sections:
            raise ConfigError(
                f"{source}: unknown section [{shortened(name)}]", _closest(name, sections)
            )
        if not isinstance(table, dict):
            raise ConfigError(f"{source}: {name} must be a section, written as [{name}]")
        section = getattr(config, name)
        section = replace(section, **checked_keys(section, table, name, source))
        config = replace(config, **{name: section})
    return config


def _table(values: Any, source: str) -> dict[str, Any]:
    """Values by name; TOML has no other, but a recording may."""
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"{source}: must be names and values")
    return dict(values)


def _problem(key: Field[Any], kind: type[Any], value: Any) -> str:
    """Why a key cannot have that value; empty when it can."""
    if not _is_a(kind, value):
        return f"must be {_TYPE_WORDS[kind]}"
    if kind in (str, _TEXTS) and not _is_unicode(value):
        return "must be Unicode, without lone surrogates"
    allowed = types.SimpleNamespace(**key.metadata)
    if allowed.choices and value not in allowed.choices:
        return f"must be one of {', '.join(allowed.choices)}"
    if allowed.low is not None and not allowed.low <= value <= allowed.high:
        return f"must be from {allowed.low} to {allowed.high}"
    return allowed.rule(value) if allowed.rule else ""


_TEXTS = tuple[str, ...]
_TYPE_WORDS = {
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    _TEXTS: "a list of texts",
}


def _is_a(kind: type[Any], value: Any) -> bool:
    if kind == _TEXTS:
        return isinstance(value, tuple) and all(isinstance(text, str) for text in value)
    return type(value) is kind  # a bool is an int to isinstance()


def _is_unicode(value: str | tuple[str, ...]) -> bool:
    """Whether it can be written as UTF-8; an argument that is not UTF-8 has lone surrogates."""
    try:
        "".join(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _allowed_suffix(key: Field[Any]) -> str:
    if key.metadata["low"] is None:
        return ""
    return f" ({key.metadata['low']} to {key.metadata['high']})"


def _closest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    matches = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {matches[0]}?" if matches else f"known: {', '.join(known)}"
