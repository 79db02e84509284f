"""Processes of the tree as plain values for JSON. docs/control.md is their description.

Text is as in events: what is not UTF-8 has U+FFFD in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agentd.core.exit_status import read_exit_code
from agentd.core.text import as_text
from agentd.core.tree.ancestry import ancestors, children, depth
from agentd.core.tree.process import SOMEBODY, Image, Key, Notes, Process, Unknown
from agentd.core.tree.tree import Tree
from agentd.core.wire.events import NO_CPU
from agentd.filters.facts import FactFinder

_SECOND_NS = 1_000_000_000
_FOR_EVER_NS = 1 << 63
_NEAR_NS = _SECOND_NS
"""A loss so long before its beginning, or after its end, is near a process."""


@dataclass(frozen=True, slots=True)
class Describer:
    """Describes processes of one tree. ``entity``: the first digits of the boot id."""

    tree: Tree
    entity: str
    wall_offset_ns: int
    facts: FactFinder
    _depths: dict[Key, int] = field(default_factory=dict)

    def explained(self, process: Process) -> dict[str, Any]:
        """All that is known of one process. Long lists are iterators, described as they are read.

        A process may have tens of thousands of ancestors, or of children.
        """
        up = ancestors(self.tree, process)
        last = up[-1].process if up else process
        return {
            "process": self.process(process),
            "images": self._images(process),
            "images_forgotten": process.past_forgotten,
            "ancestors": (
                self.process(above.process) | {"relation": _RELATIONS[above.is_creator]}
                for above in up
            ),
            "ancestors_gap": last.gap or None,
            "children": (self.process(child) for child in children(self.tree, process)),
            **self._gaps(process),
        }

    def process(self, process: Process) -> dict[str, Any]:
        """One process; what is not known is None."""
        creator, entry = process.creator, process.entry
        parent = self.tree.adopters.parent(process)
        return {
            "pid": process.key[0],
            "entity_id": self._entity_id(process.key),
            "start": self._time(process.key[1]),
            "start_exact": not process.coarse,
            **self._image(process.image),
            "live": not process.exited_ns,
            "depth": depth(self.tree, process, self._depths),
            "parent": self._key(parent),
            "parent_unknown": Unknown.ADOPTER if parent == SOMEBODY else None,
            "creator": None if creator is None else self._key(creator.key),
            "creator_unknown": process.gap or None,
            "process_group": process.process_group or None,
            "session": process.session or None,
            "entry": entry and {"type": entry.kind, **(self._key(entry.leader.key) or {})},
            "user": self._user(process.uid),
            **self.facts.where(process)._asdict(),
            "finished_cpu_seconds": process.finished_cpu_ns / _SECOND_NS,
            "suspect": self.tree.doubts.is_suspect(process),
            "end": self._time(process.exited_ns),
            **_ending(process.exit_code),
        }

    def _gaps(self, process: Process) -> dict[str, Any]:
        """What was lost while it lived, or shortly before or after."""
        doubts = self.tree.doubts
        until_ns = process.exited_ns + _NEAR_NS if process.exited_ns else _FOR_EVER_NS
        return {
            "gaps": [
                {
                    "from": self._time(lost.from_boottime_ns),
                    "to": self._time(lost.boottime_ns),
                    "count": lost.missing,
                    "kind": None if lost.kind is None else self.facts.actions[lost.kind],
                    "cpu": None if lost.cpu == NO_CPU else lost.cpu,
                    "stage": lost.stage,
                }
                for lost in doubts.gaps.within(process.key[1] - _NEAR_NS, until_ns)
            ],
            "gaps_known_since": self._time(max(doubts.begun_ns, doubts.gaps.known_since_ns)),
        }

    def _images(self, process: Process) -> list[dict[str, Any]]:
        """What it has run, the first image first."""
        images = [self._image(process.image) | {"since": self._time(process.image_ns)}]
        ran = process.past
        while ran is not None:
            images.append(self._image(ran.image) | {"since": self._time(ran.since_ns)})
            ran = ran.before
        return images[::-1]

    def _image(self, image: Image) -> dict[str, Any]:
        return {
            "name": as_text(image.name),
            "executable": as_text(image.executable) or None,
            "args": [as_text(arg) for arg in image.args.split(b"\0")[:-1]],
            "args_count": image.args_count,
            "source": "proc" if image.notes & Notes.FROM_PROC else "kernel",
            "forgotten": [name for name, bit in _FORGOTTEN.items() if image.notes & bit],
        }

    def _user(self, uid: int) -> dict[str, Any] | None:
        return {"id": str(uid), "name": self.facts.user(uid)} if uid >= 0 else None

    def _entity_id(self, key: Key) -> str:
        return f"{self.entity}-{key[0]}-{key[1]}"

    def _key(self, key: Key) -> dict[str, Any] | None:
        return {"pid": key[0], "entity_id": self._entity_id(key)} if key[0] else None

    def _time(self, boottime_ns: int) -> str | None:
        if not boottime_ns:
            return None
        second, ns = divmod(boottime_ns + self.wall_offset_ns, _SECOND_NS)
        moment = datetime.fromtimestamp(second, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


_FORGOTTEN = {"args": Notes.ARGS_FORGOTTEN, "executable": Notes.EXECUTABLE_FORGOTTEN}
_RELATIONS = {True: "creator", False: "parent"}


def _ending(exit_code: int | None) -> dict[str, Any]:
    if exit_code is None:
        return {"exit_code": None, "signal": None, "core_dumped": None}
    status, signal, core_dumped = read_exit_code(exit_code)
    return {"exit_code": status, "signal": signal, "core_dumped": core_dumped}
