"""Who got the children of processes that exited, so that everybody's parent is known at rest.

An orphan does nothing when it is adopted, so no event of its own says so: its parent's exit names
the adopter. That is noted here and looked up when somebody asks, as an exit is a hundred times
more frequent than a question. When there are too many notes, all the living are told and the
notes are needed no more.

The kernel side looks only so many steps up (``bpf/adopter.h``). An adopter that it did not find is
``SOMEBODY``, until the orphan's next event, or a look at /proc, which is due then. Nobody who lives
has a parent that has exited.
"""

from __future__ import annotations

from collections.abc import Callable

from agentd.core.tree.live import Living
from agentd.core.tree.process import SOMEBODY, Key, Process

_NOTES_MAX = 4096
_SHORT = 2
"""Keys on a way of one note: the process that exited, and its adopter."""


class Adopters:
    """What became of the children of processes that are no more.

    ``exited``: the process of a key, if it is one that has exited and is remembered.
    """

    def __init__(self, living: Living, exited: Callable[[Key], Process | None]) -> None:
        self._living = living
        self._exited = exited
        self._notes: dict[Key, Key] = {}
        self.sought_total = 0
        """How often an adopter was not known where /proc shows it: a scan is due."""
        self.steps_total = 0
        """Notes that were followed: no more in all than processes that exited and questions."""

    def note(self, process: Process, adopter: Key) -> None:
        """A process left its children to another as it exited."""
        if len(self._notes) >= _NOTES_MAX:
            self.settle()
        if adopter[0]:
            self._living.find(adopter)  # one that is known to the tick gets its exact key
        else:
            self.sought_total += 1
        self._notes[process.key] = adopter
        # children that /proc told of know their parent to the tick only
        self._notes.setdefault(self._living.coarse(process.key), adopter)

    def parent(self, process: Process) -> Key:
        """Who is the parent of a process now; once it has exited, who was."""
        key = process.parent
        if process.exited_ns:
            return key
        if key in self._notes:
            key = self._follow(key)
        return key if self._exited(key) is None else SOMEBODY

    def _follow(self, key: Key) -> Key:
        """Who has the children of a process that left them, in the end."""
        notes = self._notes
        above = notes.get(key)
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

    def review(self, process: Process) -> None:
        """/proc has just shown its parent: a process that was about to exit is to be looked for."""
        if self.parent(process) == SOMEBODY:
            self.sought_total += 1

    def settle(self) -> None:
        """Tell all the living, and forget."""
        for process in self._living.values():
            process.parent = self.parent(process)
        self._notes.clear()
