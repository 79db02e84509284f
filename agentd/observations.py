"""Processes as /proc showed them, as plain values and back: for files and other processes."""

from __future__ import annotations

from typing import Any

from agentd.core.process import Image, Process
from agentd.core.sight import Observed

_SEEN = ("coarse", "inside", "verified_ns", "process_group", "session", "uid", "seen_cgroup")
"""What /proc says of a process, beside its key, its parent and its image."""


def plain_process(process: Process) -> list[Any]:
    """Numbers, bytes and lists."""
    seen = (getattr(process, name) for name in _SEEN)
    return [process.key, process.parent, tuple(process.image), *seen]


def read_process(plain: Any) -> Process:
    """The process that such values were made of."""
    key, parent, image, *seen = plain
    facts = dict(zip(_SEEN, seen, strict=True))
    return Process(tuple(key), tuple(parent), Image(*image), executed=True, **facts)


def plain_observed(observed: Observed) -> list[Any]:
    """Numbers, bytes and lists."""
    process, *seen = observed
    return [plain_process(process), *seen]


def read_observed(plain: Any) -> Observed:
    """The observation that such values were made of."""
    process, *seen = plain
    return Observed(read_process(process), *seen)
