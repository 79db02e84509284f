"""What one round hands to the sinks."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.core.pipeline import Entry


@dataclass(frozen=True, slots=True)
class Batch:
    """The entries of one round, in order."""

    entries: list[Entry]
    first_sequence: int
    """``event.sequence`` of the first entry; the others follow without a gap."""
    wall_offset_ns: int
    """What to add to CLOCK_BOOTTIME to get the wall clock, at this round."""
