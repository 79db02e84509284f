"""What is done to a pipeline, step by step: enough to do all of it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from agentd.core.loss.tracker import KernelCounters
from agentd.core.tree.process import Process
from agentd.core.tree.reconcile import Scan
from agentd.core.wire.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Seed:
    """The pipeline began with these processes."""

    processes: list[Process]
    begun_ns: int
    """When the scan began that found them."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round, and the wall clock's distance by which its lines were stamped."""

    now_ns: int
    wall_offset_ns: int
    before: KernelCounters
    delivery: Delivery
    after: KernelCounters


@dataclass(frozen=True, slots=True)
class ScanBegins:
    """A scan for comparison began."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The kernel left runs of the programs out, so many by kind, between two moments."""

    runs: tuple[int, ...]
    from_ns: int
    now_ns: int


@dataclass(frozen=True, slots=True)
class Named:
    """While the lines of the last step were written, it became known what a number is called."""

    sort: str
    """``cgroup``, ``user`` or ``group``."""
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """During the last step, a search for a pattern ran out of time: what was decided instead."""

    where: str
    """The key of the configuration that holds the pattern."""
    number: int
    """Of the event (``event.sequence``); of redaction: which command line it was that it searched,
    of all that it ever did."""
    outcome: int | None
    """Whether the event passes, 0 or 1, and None if that is undecided; of redaction: the first
    argument that is replaced."""


@dataclass(frozen=True, slots=True)
class Flush:
    """The end: all that was held left."""

    wall_offset_ns: int


Step: TypeAlias = Seed | Round | ScanBegins | Scan | Skipped | Named | GaveUp | Flush
"""One thing that is done to a pipeline."""

Journal: TypeAlias = Callable[[Step], None]
"""Takes each step just before it is done."""


def no_journal(step: Step) -> None:
    """Nobody wants to know."""
