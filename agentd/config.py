"""The configuration: TOML to frozen dataclasses, each key declared once.

A field's metadata says what it means and what it may be; the checks, the default file
(``config/agentd.toml``) and the error messages are all made from that.
"""

from __future__ import annotations

import difflib
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from agentd import rules
from agentd.core.redact import DEFAULT_PATTERNS
from agentd.errors import ConfigError
from agentd.toml_text import inline, key_lines

_MIB = 1 << 20


def _key(
    default: Any,
    meaning: str,
    *,
    low: int | None = None,
    high: int | None = None,
    choices: tuple[str, ...] = (),
    rule: Callable[[Any], str] | None = None,
) -> Any:
    """Declare one key: its default, its line of comment, and what it may be.

    A rule gives what is wrong with a value; nothing if it is good.
    """
    metadata = {
        "meaning": meaning,
        "low": low,
        "high": high,
        "choices": choices,
        "rule": rule,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is left out, in the kernel, before it costs anything."""

    cgroup: str = _key(
        "",
        "keep only this subtree: a path below the cgroup v2 mount, as /user.slice; all if empty",
    )


@dataclass(frozen=True, slots=True)
class Transport:
    """The buffer between the kernel and agentd."""

    kind: str = _key(
        "auto",
        "ringbuf, perfbuf for kernels before 5.8, or auto: the first if it can be had",
        choices=("auto", "ringbuf", "perfbuf"),
    )
    ring_bytes: int = _key(
        4 * _MIB,
        "size of the ring buffer, one for all CPUs; a page or more, a power of two",
        low=4096,
        high=1024 * _MIB,
        rule=rules.buffer_bytes,
    )
    perf_bytes_per_cpu: int = _key(
        _MIB // 2,
        "size of each CPU's perf buffer; a page or more, a power of two",
        low=4096,
        high=1024 * _MIB,
        rule=rules.buffer_bytes,
    )
    batch_delay_ms: int = _key(
        20, "how long events gather before a round reads them", low=0, high=1000
    )
    batch_delay_max_ms: int = _key(
        100, "the same on a busy host, where fewer, larger rounds cost less", low=0, high=1000
    )
    round_bytes: int = _key(_MIB, "how much one round reads at most", low=65536, high=64 * _MIB)


@dataclass(frozen=True, slots=True)
class Reorder:
    """The queue that puts events of different CPUs back in order."""

    capacity: int = _key(
        65536,
        "events held at most; above it the oldest leave early, flagged",
        low=1,
        high=10_000_000,
    )
    slack_us: int = _key(
        1000, "how far behind the reading of the clock events are released", low=0, high=10_000_000
    )


@dataclass(frozen=True, slots=True)
class Tree:
    """The process tree."""

    live_capacity: int = _key(131072, "live processes kept at most", low=16, high=10_000_000)
    exited_capacity: int = _key(4096, "exited processes remembered at most", low=0, high=10_000_000)
    exited_seconds: int = _key(
        3600, "how long an exited process is remembered at most", low=1, high=1_000_000
    )
    ancestor_capacity: int = _key(
        16384,
        "exited processes kept longer, because what they started is in the tree, at most",
        low=0,
        high=10_000_000,
    )


@dataclass(frozen=True, slots=True)
class Redact:
    """Secrets on command lines, replaced before anything leaves agentd."""

    patterns: tuple[str, ...] = _key(
        DEFAULT_PATTERNS,
        "regular expressions searched in each argument; what group `secret` matches, or else the"
        " whole match, is replaced; a match with group `next` hides the argument behind it",
        rule=rules.redact_patterns,
    )


@dataclass(frozen=True, slots=True)
class Output:
    """Events on standard output."""

    format: str = _key(
        "text",
        "text for people, json for programs (docs/events.md), or none",
        choices=("text", "json", "none"),
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics and health over HTTP."""

    listen: str = _key(
        "127.0.0.1:9847", "address and port; off if empty", rule=rules.address_or_empty
    )


@dataclass(frozen=True, slots=True)
class Log:
    """The daemon's own log, on standard error."""

    level: str = _key(
        "info", "least severity that is logged", choices=("debug", "info", "warning", "error")
    )
    format: str = _key(
        "auto", "console, json, or auto: console on a terminal", choices=("auto", "console", "json")
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, one member a section of the file."""

    filter: Filter = Filter()
    transport: Transport = Transport()
    reorder: Reorder = Reorder()
    tree: Tree = Tree()
    redact: Redact = Redact()
    output: Output = Output()
    metrics: Metrics = Metrics()
    log: Log = Log()


def load_config(path: Path | None, assignments: Iterable[str] = ()) -> Config:
    """The configuration from a file, if one is given, changed by ``section.key=value`` texts.

    Raises ConfigError that names the file or the assignment, the key, and what is allowed.
    """
    config = Config()
    if path is not None:
        config = _apply(config, _read(path), str(path))
    for assignment in assignments:
        config = _apply(config, _parse_assignment(assignment), f"--set {assignment}")
    return config


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
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except _NOT_TOML as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None


def _parse_assignment(assignment: str) -> dict[str, Any]:
    """``section.key=value``; the value is TOML, or plain text where that is not TOML."""
    name, equals, text = assignment.partition("=")
    section, dot, key = map(str.strip, name.partition("."))
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {assignment}: must be section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except _NOT_TOML:
        value = text.strip()
    return {section: {key: value}}


def _apply(config: Config, values: Mapping[str, Any], source: str) -> Config:
    sections = {section.name for section in fields(Config)}
    for name, table in values.items():
        if name not in sections:
            raise ConfigError(f"{source}: unknown section [{name}]", _closest(name, sections))
        if not isinstance(table, dict):
            raise ConfigError(f"{source}: {name} must be a section, written as [{name}]")
        section = _apply_section(getattr(config, name), table, name, source)
        config = replace(config, **{name: section})
    return config


def _apply_section(section: Any, table: dict[str, Any], name: str, source: str) -> Any:
    keys = {key.name: key for key in fields(section)}
    hints = get_type_hints(type(section))
    table = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    for key, value in table.items():
        if key not in keys:
            raise ConfigError(f"{source}: unknown key {name}.{key}", _closest(key, keys))
        problem = _problem(keys[key], hints[key], value)
        if problem:
            raise ConfigError(f"{source}: {name}.{key} = {inline(value)}: {problem}")
    return replace(section, **table)


def _problem(key: Field[Any], kind: type[Any], value: Any) -> str:
    """Why a key cannot have that value; empty when it can."""
    if not _is_a(kind, value):
        return f"must be {_TYPE_WORDS[kind]}"
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


def _allowed_suffix(key: Field[Any]) -> str:
    if key.metadata["low"] is None:
        return ""
    return f" ({key.metadata['low']} to {key.metadata['high']})"


def _closest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    matches = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {matches[0]}?" if matches else f"known: {', '.join(known)}"
