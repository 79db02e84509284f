"""What is done to a pipeline, step by step: enough to do all of it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from agentd.core.accounting import KernelCounters
from agentd.core.pipeline import Delivery
from agentd.core.process import Process
from agentd.core.reconcile import Scan


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
class Flush:
    """The end: all that was held left."""

    wall_offset_ns: int


Step: TypeAlias = Seed | Round | ScanBegins | Scan | Skipped | Named | Flush
"""One thing that is done to a pipeline."""

Journal: TypeAlias = Callable[[Step], None]
"""Takes each step just before it is done."""


def no_journal(step: Step) -> None:
    """Nobody wants to know."""
