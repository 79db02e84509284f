"""Where a stream is taken up that another process has read up to a position.

Room in the buffer is given back behind the position, so what was handed on may come again.
"""

from __future__ import annotations

from agentd.core.loss.tracker import Progress
from agentd.core.wire.events import Event


def unread(progress: Progress, events: list[Event]) -> list[Event]:
    """Those that were not handed on."""
    next_seq, awaited = progress.next_seq, progress.awaited
    return [
        event
        for event in events
        if event.seq >= next_seq[event.cpu] or (awaited and _is_awaited(awaited, event))
    ]


def _is_awaited(awaited: tuple[tuple[int, int, int], ...], event: Event) -> bool:
    return any(
        cpu == event.cpu and first <= event.seq < first + count for cpu, first, count in awaited
    )
