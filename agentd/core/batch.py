"""What one round hands to the sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied
from agentd.core.wire.events import Event


@dataclass(frozen=True, slots=True)
class Batch:
    """The entries of one round, in order."""

    entries: list[Entry]
    first_sequence: int
    """``event.sequence`` of the first entry; the others follow without a gap."""
    wall_offset_ns: int
    """What to add to CLOCK_BOOTTIME to get the wall clock, at this round."""


def events_of(entries: Sequence[Entry]) -> list[Event]:
    """The events among them that the kernel reported."""
    return [entry[0] for entry in entries if isinstance(entry, Applied)]


Choose: TypeAlias = Callable[[Entry, int], Entry | None]
"""An entry, by its number, as it is to be written; None if it is not wanted."""


def wanted_of(batch: Batch, choose: Choose) -> list[Batch]:
    """The entries that are wanted, as batches of neighbours, so that each keeps its number."""
    parts: list[Batch] = []
    end = -1
    for number, entry in enumerate(batch.entries, batch.first_sequence):
        chosen = choose(entry, number)
        if chosen is None:
            continue
        if number != end:
            parts.append(Batch([], number, batch.wall_offset_ns))
        parts[-1].entries.append(chosen)
        end = number + 1
    return parts
