"""Drains that are over for the pipeline, and for the sinks once they have come to an entry."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from agentd.core.loss.tracker import Progress

LEAVING_MAX: Final = 1024
"""Checkpoints that wait for the sinks. Each has some numbers of each CPU, and an output may take
nothing for hours.
"""


@dataclass(frozen=True, slots=True)
class Leaving:
    """So many drains, until which entry, and how far the stream is once that is written."""

    end: int
    drains: int
    progress: Progress


def bounded(leaving: deque[Leaving]) -> deque[Leaving]:
    """Where there are too many, two neighbours as one: their room is given back together."""
    if len(leaving) <= LEAVING_MAX:
        return leaving
    all_of_them = list(leaving)
    pairs = zip(all_of_them[::2], all_of_them[1::2], strict=False)
    halved = [Leaving(two.end, one.drains + two.drains, two.progress) for one, two in pairs]
    return deque([*halved, *all_of_them[2 * len(halved) :]])
