"""Who got the children of processes that exited, so that everybody's parent is known at rest.

An orphan does nothing when it is adopted, so no event of its own says so: its parent's exit names
the adopter. That is noted here and looked up when somebody asks, as an exit is a hundred times
more frequent than a question. When there are too many notes, all the living are told and the
notes are needed no more.
"""

from __future__ import annotations

from agentd.core.living import Living
from agentd.core.process import Key, Process

_NOTES_MAX = 4096
_SHORT = 2
"""Keys on a way of one note: the process that exited, and its adopter."""


class Adopters:
    """What became of the children of processes that are no more."""

    def __init__(self, living: Living) -> None:
        self._living = living
        self._notes: dict[Key, Key] = {}
        self.steps_total = 0
        """Notes that were followed: no more in all than processes that exited and questions."""

    def note(self, process: Process, adopter: Key) -> None:
        """A process left its children to another as it exited."""
        if len(self._notes) >= _NOTES_MAX:
            self.settle()
        self._living.find(adopter)  # one that is known to the tick gets its exact key
        self._notes[process.key] = adopter
        # children that /proc told of know their parent to the tick only
        self._notes.setdefault(self._living.coarse(process.key), adopter)

    def parent(self, process: Process) -> Key:
        """Who is the parent of a process now; once it has exited, who was."""
        key = process.parent
        notes = self._notes
        above = None if process.exited_ns else notes.get(key)
        if above is None:
            return key
        met = {key}
        while above is not None and above not in met:
            key = above
            met.add(key)
            self.steps_total += 1
            above = notes.get(key)
        if len(met) > _SHORT:  # whoever asks next finds a short way
            met.discard(key)
            notes.update(dict.fromkeys(met, key))
        return key

    def settle(self) -> None:
        """Tell all the living, and forget."""
        for process in self._living.values():
            process.parent = self.parent(process)
        self._notes.clear()
