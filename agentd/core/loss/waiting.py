"""Losses that are resolved and wait for their place in the stream.

A loss stands behind what happened before it, so it leaves only when the watermark has passed it.
Until then a successor has to find it again, if we die. So each group of losses keeps the
checkpoint of the moment before it was resolved: from there a successor resolves the group anew. It
needs whatever has a number behind that checkpoint, so the kernel gets back only the room of what
has lower numbers.

Very many that wait, while ``/proc`` is read say, become one a CPU: from the first to the last, with
the sum, of mixed stages perhaps.

Weak point: of a group of which a part has left, the successor reports that part again, under the
same ``event.id``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from agentd.core.loss.stages import STAGE_MIXED
from agentd.core.loss.tracker import PerCpu, Progress
from agentd.core.wire.events import NO_CPU, Lost


@dataclass(slots=True)
class _Group:
    losses: list[Lost]
    before: Progress | None


class WaitingLosses:
    """``total`` and ``by_cpu``: events whose loss has left.

    ``capacity``: how many losses, of 150 bytes each; more are joined to one a CPU.
    """

    def __init__(self, capacity: int = 1 << 16) -> None:
        self._capacity = capacity
        self.total = 0
        self.by_cpu: Counter[int] = Counter()
        self._groups: deque[_Group] = deque()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def __bool__(self) -> bool:
        return bool(self._groups)

    @property
    def before(self) -> Progress | None:
        """The checkpoint before the oldest that waits. None if nothing waits, or if there is none:
        nobody can find again what was lost with a predecessor's buffer.
        """
        return self._groups[0].before if self._groups else None

    def add(self, losses: list[Lost], before: Progress | None) -> None:
        """Let losses wait. ``before``: how far the stream had come before they were resolved."""
        if not losses:
            return
        self._groups.append(_Group(losses, before))
        self._waiting += len(losses)
        if self._waiting > self._capacity:
            self._join()

    def _join(self) -> None:
        """One group of all, found again from where the oldest is."""
        waiting = _joined(lost for group in self._groups for lost in group.losses)
        self._groups = deque([_Group(waiting, self.before)])
        self._waiting = len(waiting)

    def take_until(self, watermark_ns: int) -> list[Lost]:
        """Remove and give the losses whose place has been reached, in the stream's order."""
        reached: list[Lost] = []
        for group in self._groups:
            reached += [lost for lost in group.losses if lost.boottime_ns <= watermark_ns]
            group.losses = [lost for lost in group.losses if lost.boottime_ns > watermark_ns]
        while self._groups and not self._groups[0].losses:
            self._groups.popleft()
        self._waiting -= len(reached)
        for lost in reached:
            self.total += lost.missing
            self.by_cpu[lost.cpu] += lost.missing
        return reached

    def allow(self, ends: PerCpu) -> bool:
        """Whether a drain may be given back whose numbers are below ``ends`` on each CPU."""
        if not self._groups:
            return True
        before = self.before
        return before is not None and all(
            end <= first for end, first in zip(ends, before.next_seq, strict=True)
        )


def _joined(losses: Iterable[Lost]) -> list[Lost]:
    """One of each CPU; of those without, one of each stage and kind."""
    joined: dict[tuple[int, str, int | None], Lost] = {}
    for lost in losses:
        key = (lost.cpu, "", None) if lost.cpu != NO_CPU else (NO_CPU, lost.stage, lost.kind)
        before = joined.get(key, lost)
        joined[key] = Lost(
            max(lost.boottime_ns, before.boottime_ns),
            min(lost.seq, before.seq),
            lost.cpu,
            lost.missing + (0 if before is lost else before.missing),
            lost.stage if lost.stage == before.stage else STAGE_MIXED,
            lost.kind if lost.kind == before.kind else None,
            min(lost.from_boottime_ns, before.from_boottime_ns),
        )
    return list(joined.values())
