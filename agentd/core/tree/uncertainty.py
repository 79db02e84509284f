"""What a loss may have touched, and why somebody is not known.

A loss may hide any exec or exit of any process up to the moment when it was over. So what was
last verified before that moment is suspect: until an event says what it runs, or a look at /proc.
"""

from __future__ import annotations

from cachetools import LRUCache

from agentd.core.loss.recent import Gaps
from agentd.core.tree.process import SOMEBODY, Doubt, Key, Process, Unknown
from agentd.core.wire.events import Lost

_EVICTED_KEPT = 4096


class Doubts:
    """What is not certain. ``filtered``: the kernel tells of some processes only.

    ``tick_ns``: the resolution of start times in /proc.
    """

    def __init__(self, tick_ns: int, *, filtered: bool) -> None:
        self._tick_ns = tick_ns
        self.begun_ns = 0
        """Processes that are older were there already."""
        self._filtered = filtered
        self.lost_ns = 0
        """When the last loss was over; 0 if there was none."""
        self.gaps = Gaps()
        """The losses themselves."""
        self._evicted: LRUCache[Key, bool] = LRUCache(_EVICTED_KEPT)  # starts in ticks

    def lose(self, lost: Lost) -> None:
        """Events were lost."""
        self.lost_ns = max(self.lost_ns, lost.boottime_ns)
        self.gaps.add(lost)

    def mistrust(self, until_ns: int) -> None:
        """What processes inherited up to then may be wrong, and is to be looked at."""
        self.lost_ns = max(self.lost_ns, until_ns + 1)

    def evict(self, key: Key) -> None:
        """A live process was dropped for room."""
        self._evicted[key[0], key[1] // self._tick_ns] = True

    def is_suspect(self, process: Process) -> bool:
        """Whether a loss may have hidden that it runs something else now, or has exited."""
        return process.verified_ns < self.lost_ns

    def why_unknown(self, key: Key) -> str:
        """Why no process of that key is known (``Unknown``)."""
        if not key[0]:  # where there is none: the idle task
            return Unknown.ADOPTER if key == SOMEBODY else Unknown.KNOWN
        if (key[0], key[1] // self._tick_ns) in self._evicted:
            return Unknown.EVICTED
        if key[1] < self.begun_ns:
            return Unknown.BEFORE_START
        if key[1] <= self.lost_ns:
            return Unknown.LOST
        return Unknown.OUTSIDE if self._filtered else Unknown.DISORDER

    def of(self, process: Process | None, parent: Process | None, parent_key: Key) -> Doubt | None:
        """What is not certain of an event that shows what ``process`` and its parent run."""
        suspect = process is not None and self.is_suspect(process)
        if parent is not None:
            doubt = Doubt(suspect, self.is_suspect(parent), Unknown.KNOWN)
        else:
            doubt = Doubt(suspect, False, self.why_unknown(parent_key))
        return doubt if any(doubt) else None
