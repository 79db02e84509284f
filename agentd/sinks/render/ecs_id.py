"""What names a line: ``event.id`` (docs/events.md, Identity).

A successor that writes a line again gives it the same id, so ids are made of what the kernel
numbers, never of what this process counts. Two lines with one id say the same.
"""

from __future__ import annotations

from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import NO_CPU, Event, Lost


class EventIds:
    """Makes the ids of one boot. ``entity``: what entity ids begin with."""

    def __init__(self, entity: str, kind_names: tuple[str, ...]) -> None:
        self._entity = entity
        self._kind_names = kind_names

    def before_seq(self, cpu: int) -> str:
        """What stands before the attempt's number in the id of an event on that CPU."""
        return f"{self._entity}-{cpu}-"

    def of_several(self, first: Event, last: Event) -> str:
        """Of a line of several events of one process: between these two it has all of them."""
        return f"{self._entity}-{first.cpu}-{first.seq}..{last.cpu}-{last.seq}"

    def of_inferred(self, entry: Inferred) -> str:
        """What was concluded of a process at one moment; the kernel has no number for it."""
        (tgid, start_ns), kind = entry.key, self._kind_names[entry.kind]
        return f"{self._entity}-{tgid}-{start_ns}-{kind}-{entry.boottime_ns}"

    def of_lost(self, lost: Lost) -> str:
        """The first number that is missing, and how many; the stage where they have no CPU."""
        where = str(lost.cpu)
        if lost.cpu == NO_CPU:
            where = f"{lost.stage}-{'any' if lost.kind is None else self._kind_names[lost.kind]}"
        return f"{self._entity}-{where}-{lost.seq}+{lost.missing}"
