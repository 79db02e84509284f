"""A process as the tree knows it, what it runs, and an event together with both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from agentd.core.event import Event

Key = tuple[int, int]
"""(tgid, start_boottime_ns): one process of one boot."""


class Image(NamedTuple):
    """What a process runs. Shared by the processes that inherit it."""

    name: bytes
    """task_struct.comm"""
    executable: bytes
    """Empty when it is not known."""
    args: bytes
    """Each argument ended by a NUL."""
    args_count: int


@dataclass(slots=True)
class Process:
    """One process, live or exited."""

    key: Key
    parent: Key
    """The process that adopted it, or else its creator, as of its last event."""
    image: Image
    executed: bool
    """Whether it has run an image of its own: False between fork and exec."""
    coarse: bool = False
    """The start in ``key`` is only good to a clock tick (seeded from /proc)."""
    inside: bool = True
    """Whether the filter lets its events through."""
    exit_code: int | None = None
    updated_ns: int = 0
    """When an event last said what it runs; 0 before the first."""


class Applied(NamedTuple):
    """An event together with what the tree knew at that moment."""

    event: Event
    image: Image
    parent_image: Image | None
    """None when the parent is unknown, or there is none."""
    changed: bool
    """An exec of a process that had an image of its own before."""
