"""What a writer needs from a renderer, and a renderer from its host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agentd.core.batch import Batch

NameOf: TypeAlias = Callable[[int], str | None]
"""What a number is called; None where that is not known (yet)."""


@dataclass(frozen=True, slots=True)
class Names:
    """What numbers are called on the host."""

    cgroup: NameOf
    """The path below the mount of a cgroup's id; empty where there are none."""
    user: NameOf
    group: NameOf


class Renderer(Protocol):
    """Turns a batch into the bytes of one sink's format."""

    def render(self, batch: Batch) -> bytes:
        """The whole batch, each entry ended by a newline."""
