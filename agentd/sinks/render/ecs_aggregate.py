"""The JSON of ecs.py with fewer, fuller lines: what one process did in a round leaves as one."""

from __future__ import annotations

import json

from agentd.core.aggregate import Group, lifecycles
from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.tree.process import Applied
from agentd.core.wire.events import Exec, Exit
from agentd.core.wire.header import Wire
from agentd.sinks.render.ecs import EcsRenderer

_Lists = tuple[tuple[int, bool], ...]
"""Kind, and whether it changed the image, of each event of a line."""


class MergingRenderer(EcsRenderer):
    """Renders fork, exec and exit of one process in one round as one line, at the first's place."""

    def __init__(self, wire: Wire, boot_id: str, page_bytes: int, names: Names) -> None:
        super().__init__(wire, boot_id, page_bytes, names)
        self._lists: dict[_Lists, str] = {}

    def render(self, batch: Batch) -> bytes:
        """One line for each process, and for each entry that is none's."""
        lines: list[bytes] = []
        alone = Batch([], batch.first_sequence, batch.wall_offset_ns)
        for group in lifecycles(batch.entries):
            number = batch.first_sequence + group[0]
            if alone.entries and (
                len(group) > 1 or number != alone.first_sequence + len(alone.entries)
            ):
                lines.append(super().render(alone))
                alone = Batch([], number, batch.wall_offset_ns)
            if len(group) > 1:
                lines.append(self._merged(batch, group))
            else:
                if not alone.entries:
                    alone = Batch([], number, batch.wall_offset_ns)
                alone.entries.append(batch.entries[group[0]])
        if alone.entries:
            lines.append(super().render(alone))
        return b"".join(lines)

    def _merged(self, batch: Batch, group: Group) -> bytes:
        """All that the lines of the group would say, each member once."""
        offset_ns = self._follow_clock(batch.wall_offset_ns)
        entries = [entry for place in group if isinstance(entry := batch.entries[place], Applied)]
        first, last = entries[0], entries[-1]
        event = first.event
        process, start = self._process((event.tgid, event.start_boottime_ns), offset_ns)
        what, image_raw, details = self._image(last.image)
        more = raw = top = ""
        for entry in entries:
            if isinstance(entry.event, Exec):
                more, told, raw, top = self._execs.render(entry.event, entry.leaders)
                details += told
            elif isinstance(entry.event, Exit):
                end = self._ending(entry.event, self._time(entry.event.boottime_ns + offset_ns))
                more, details = more + end[0], details + end[1]
            elif entry.event.creator_tgid:
                details += self._creator(entry.event)
        raws = ",".join(filter(None, (image_raw, raw)))
        details += f',"raw":{{{raws}}}' if raws else ""
        parts = self._parts_of(batch, group, entries)
        flags = 0
        for entry in entries:
            flags |= entry.event.flags
        parent = event.parent_tgid, event.parent_start_boottime_ns
        return (
            f'{{"@timestamp":"{self._time(event.boottime_ns + offset_ns)}",'
            f'"event":{{"kind":"event","category":["process"],{self._actions_of(entries)},'
            f'"sequence":{batch.first_sequence + group[0]},'
            f'"id":"{self._ids.of_several(event, last.event)}"}},'
            f'"process":{{{process}{what}{start}{more},'
            f"{self._owner(event.uid, event.gid)}{self._parent(parent, last.parent_image)}}}{top},"
            f'"agentd":{{"cpu":{event.cpu},"seq":{event.seq},"boottime_ns":{event.boottime_ns}'
            f'{details},"merged":[{parts}],"flags":[{self._flag_list(flags)}]}}}}\n'
        ).encode("ascii")

    def _actions_of(self, entries: list[Applied]) -> str:
        key = tuple([(entry.event.kind, entry.changed) for entry in entries])
        return self._lists.get(key) or self._add_lists(key)

    def _add_lists(self, key: _Lists) -> str:
        """Types and actions of that many shapes as there are: a dozen."""
        names = [self._kind_names[kind] for kind, _ in key]
        changed = any(changed for _, changed in key)
        types = ["start"] if names[0] == "fork" or not changed else []
        types += ["change"] if changed else []
        types += ["end"] if names[-1] == "exit" else []
        text = f'"type":{json.dumps(types)},"action":{json.dumps(names)}'.replace(", ", ",")
        self._lists[key] = text
        return text

    def _parts_of(self, batch: Batch, group: Group, entries: list[Applied]) -> str:
        """Where each of the events stood: a line's name within the boot, and its place."""
        parts, names = [], self._kind_names
        for place, entry in zip(group, entries, strict=True):
            ns, seq, cpu, kind = entry.event[:4]
            parts.append(
                f'{{"action":"{names[kind]}","cpu":{cpu},"seq":{seq},"boottime_ns":{ns},'
                f'"sequence":{batch.first_sequence + place}}}'
            )
        return ",".join(parts)


def ecs_renderer(*, merges: bool) -> type[EcsRenderer]:
    """The one that merges, or the plain one."""
    return MergingRenderer if merges else EcsRenderer
