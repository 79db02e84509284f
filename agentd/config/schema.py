"""The settings: sections of the configuration as frozen dataclasses, each key declared once.

A field's metadata says what it means and what it may be; the checks, the default file
(``config/agentd.toml``) and the error messages (``config/load.py``) are all made from that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any

from agentd.config import validate
from agentd.core.redact import DEFAULT_PATTERNS

_MIB = 1 << 20
REQUIRED: Any = MISSING


def key(
    default: Any,
    meaning: str,
    *,
    low: int | None = None,
    high: int | None = None,
    choices: tuple[str, ...] = (),
    rule: Callable[[Any], str] | None = None,
) -> Any:
    """Declare one key: its default (``REQUIRED``: none), its line of comment, and what it may be.

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

    cgroup: str = key(
        "",
        "keep only this subtree: a path below the cgroup v2 mount, as /user.slice; all if empty",
        rule=validate.cgroup_or_empty,
    )


@dataclass(frozen=True, slots=True)
class Transport:
    """The buffer between the kernel and agentd."""

    kind: str = key(
        "auto",
        "ringbuf, perfbuf for kernels before 5.8, or auto: the first if it can be had",
        choices=("auto", "ringbuf", "perfbuf"),
    )
    ring_bytes: int = key(
        4 * _MIB,
        "size of the ring buffer, one for all CPUs; a page or more, a power of two",
        low=4096,
        high=1024 * _MIB,
        rule=validate.buffer_bytes,
    )
    perf_bytes_per_cpu: int = key(
        _MIB // 2,
        "size of each CPU's perf buffer; a page or more, a power of two",
        low=4096,
        high=1024 * _MIB,
        rule=validate.buffer_bytes,
    )
    batch_delay_ms: int = key(
        20, "how long events gather after a silence, before a round reads them", low=0, high=1000
    )
    batch_delay_max_ms: int = key(
        100, "the same while more keep coming: fewer, larger rounds cost less", low=0, high=1000
    )
    round_bytes: int = key(_MIB, "how much one round reads at most", low=65536, high=64 * _MIB)


@dataclass(frozen=True, slots=True)
class Reorder:
    """The queue that puts events of different CPUs back in order."""

    capacity: int = key(
        65536,
        "events held at most; above it the oldest leave early, flagged",
        low=1,
        high=10_000_000,
    )
    slack_us: int = key(
        1000, "how far behind the reading of the clock events are released", low=0, high=10_000_000
    )


@dataclass(frozen=True, slots=True)
class Tree:
    """The process tree."""

    live_capacity: int = key(131072, "live processes kept at most", low=16, high=10_000_000)
    exited_capacity: int = key(4096, "exited processes remembered at most", low=0, high=10_000_000)
    exited_seconds: int = key(
        3600, "how long an exited process is remembered at most", low=1, high=1_000_000
    )
    ancestor_capacity: int = key(
        16384,
        "exited processes kept longer, because what they started is in the tree, at most",
        low=0,
        high=10_000_000,
    )
    text_bytes: int = key(
        64 << 20,
        "arguments, paths and earlier images of all of them at most; the oldest are forgotten",
        low=1 << 20,
        high=1 << 36,
    )


@dataclass(frozen=True, slots=True)
class Scan:
    """Looks at /proc: at the start, and after losses."""

    socket: str = key(
        "",
        "socket behind which `agentd scan` sees what other users' processes run; without one"
        " a child of agentd does, which keeps CAP_SYS_PTRACE",
        rule=validate.socket_path_or_empty,
    )


@dataclass(frozen=True, slots=True)
class Redact:
    """Secrets on command lines, replaced before anything leaves agentd."""

    patterns: tuple[str, ...] = key(
        DEFAULT_PATTERNS,
        "regular expressions searched in each argument; what group `secret` matches, or else the"
        " whole match, is replaced; a match with group `next` hides the argument behind it",
        rule=validate.redact_patterns,
    )


@dataclass(frozen=True, slots=True)
class Output:
    """Events on standard output."""

    format: str = key(
        "text",
        "text for people, json for programs (docs/events.md), or none",
        choices=("text", "json", "none"),
    )
    aggregate: bool = key(
        False,
        "fork, exec and exit of one process that fall into the same round leave as one line of"
        " json; event.action is then a list",
    )
    filter: str = key(
        "",
        "which events, for instance 'exe ~ \"^/usr/bin/\" and uid != 0' (docs/filters.md); losses"
        " go with any; all if empty",
        rule=validate.filter_or_empty,
    )


@dataclass(frozen=True, slots=True)
class Journal:
    """Events in the systemd journal, as entries with fields (docs/service.md)."""

    actions: tuple[str, ...] = key(
        (),
        "which events go there: of fork, exec and exit; losses go with any; off if empty",
        rule=validate.journal_actions,
    )
    filter: str = key("", "and which of these, likewise", rule=validate.filter_or_empty)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics and health over HTTP."""

    listen: str = key(
        "127.0.0.1:9847", "address and port; off if empty", rule=validate.address_or_empty
    )
    web_config: str = key(
        "",
        "path of a web-config.yml, as Prometheus's exporters take it: TLS and passwords"
        " (docs/metrics.md); plain HTTP without",
        rule=validate.file_path_or_empty,
    )
    page: str = key(
        "auto",
        "a page at / with status and the process tree: on, off, or auto: where web_config wants a"
        " password or a certificate, without which no processes are shown",
        choices=("auto", "on", "off"),
    )
    units: int = key(
        100, "units that have series of their own, those that do most; 0: none", low=0, high=10_000
    )
    executables: int = key(20, "likewise executables", low=0, high=10_000)


@dataclass(frozen=True, slots=True)
class Control:
    """Questions to the daemon (agentd explain and its like), over a Unix socket."""

    socket: str = key(
        "/run/agentd/agentd.sock",
        "path of the socket; off if empty",
        rule=validate.socket_path_or_empty,
    )


@dataclass(frozen=True, slots=True)
class Log:
    """The daemon's own log, on standard error."""

    level: str = key(
        "info", "least severity that is logged", choices=("debug", "info", "warning", "error")
    )
    format: str = key(
        "auto",
        "console, json, journal, or auto: the journal where standard error leads to it, console on"
        " a terminal, else json",
        choices=("auto", "console", "json", "journal"),
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, one member a section of the file."""

    filter: Filter = Filter()
    transport: Transport = Transport()
    reorder: Reorder = Reorder()
    tree: Tree = Tree()
    scan: Scan = Scan()
    redact: Redact = Redact()
    output: Output = Output()
    journal: Journal = Journal()
    metrics: Metrics = Metrics()
    control: Control = Control()
    log: Log = Log()
