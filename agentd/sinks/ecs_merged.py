"""The JSON of ecs.py with fewer, fuller lines: what one process did in a round leaves as one."""

from __future__ import annotations

import functools
import operator

from agentd.core.batch import Batch
from agentd.core.event import Exec, Exit, Fork
from agentd.core.lifecycles import Group, lifecycles
from agentd.core.process import Applied
from agentd.sinks.ecs import EcsRenderer


class MergingRenderer(EcsRenderer):
    """Renders fork, exec and exit of one process in one round as one line, at the first's place."""

    def render(self, batch: Batch) -> bytes:
        """One line for each process, and for each entry that is none's."""
        lines = []
        alone = Batch([], 0, batch.wall_offset_ns)
        for group in lifecycles(batch.entries):
            number = batch.first_sequence + group[0]
            if len(group) > 1:
                lines.append(super().render(alone))
                lines.append(self._merged(batch, group))
                alone = Batch([], 0, batch.wall_offset_ns)
                continue
            if number != alone.first_sequence + len(alone.entries):
                lines.append(super().render(alone))
                alone = Batch([], number, batch.wall_offset_ns)
            alone.entries.append(batch.entries[group[0]])
        lines.append(super().render(alone))
        return b"".join(lines)

    def _merged(self, batch: Batch, group: Group) -> bytes:
        """All that the lines of the group would say, each member once."""
        offset_ns = batch.wall_offset_ns
        entries = [entry for place in group if isinstance(entry := batch.entries[place], Applied)]
        first, last = entries[0], entries[-1]
        event = first.event
        process, start = self._process((event.tgid, event.start_boottime_ns), offset_ns)
        what, image_raw = self._image(last.image)
        more = details = raw = top = ""
        for entry in entries:
            if isinstance(entry.event, Exec):
                more, details, raw, top = self._execs.render(entry.event, entry.leaders)
            elif isinstance(entry.event, Exit):
                end = self._ending(entry.event, self._time(entry.event.boottime_ns + offset_ns))
                more, details = more + end[0], details + end[1]
        raws = ",".join(filter(None, (image_raw, raw)))
        details += f',"raw":{{{raws}}}' if raws else ""
        parts = self._parts_of(batch, group, entries)
        flags = functools.reduce(operator.or_, (entry.event.flags for entry in entries))
        parent = (event.parent_tgid, event.parent_start_boottime_ns, last.parent_image)
        return (
            f'{{"@timestamp":"{self._time(event.boottime_ns + offset_ns)}",'
            f'"event":{{"kind":"event","category":["process"],{self._actions_of(entries)},'
            f'"sequence":{batch.first_sequence + group[0]}}},'
            f'"process":{{{process}{what}{start}{more},'
            f"{self._owner(event.uid, event.gid)}{self._parent(parent)}}}{top},"
            f'"agentd":{{"cpu":{event.cpu},"seq":{event.seq},"boottime_ns":{event.boottime_ns}'
            f'{details},"merged":[{parts}],"flags":{self._flag_list(flags)}}}}}\n'
        ).encode("ascii")

    def _actions_of(self, entries: list[Applied]) -> str:
        actions = ",".join(f'"{self._kind_names[entry.event.kind]}"' for entry in entries)
        types = ['"start"'] if isinstance(entries[0].event, Fork) or not entries[0].changed else []
        types += ['"change"'] if any(entry.changed for entry in entries) else []
        types += ['"end"'] if isinstance(entries[-1].event, Exit) else []
        return f'"type":[{",".join(types)}],"action":[{actions}]'

    def _parts_of(self, batch: Batch, group: Group, entries: list[Applied]) -> str:
        """Where each of the events stood: a line's name within the boot, and its place."""
        return ",".join(
            f'{{"action":"{self._kind_names[entry.event.kind]}","cpu":{entry.event.cpu},'
            f'"seq":{entry.event.seq},"boottime_ns":{entry.event.boottime_ns},'
            f'"sequence":{batch.first_sequence + place}}}'
            for place, entry in zip(group, entries, strict=True)
        )


def ecs_renderer(*, merges: bool) -> type[EcsRenderer]:
    """The one that merges, or the plain one."""
    return MergingRenderer if merges else EcsRenderer
