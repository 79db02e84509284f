"""Entries as NDJSON in Elastic Common Schema names. docs/events.md is its description.

An event's text is put together from parts that recur (what a process runs, the second of a
time), each rendered once and kept. All text is ASCII: what a name or an argument holds can
neither break a line nor reach a terminal as an escape.
"""

from __future__ import annotations

import time
from typing import Final

from agentd.core.batch import Batch
from agentd.core.exit_status import read_exit_code, scale_cpu_times
from agentd.core.names import Names
from agentd.core.tree.process import Applied, Doubt, Image, Key, entity_prefix
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire import events as at
from agentd.core.wire.events import NO_CPU, Exec, Exit, Fork, Lost, kind_names
from agentd.core.wire.header import Wire
from agentd.sinks.render.ecs_exec import ExecRenderer
from agentd.sinks.render.ecs_id import EventIds
from agentd.sinks.render.ecs_image import ImageParts, render_before, render_image, render_parent
from agentd.sinks.render.json_text import SECOND_NS, named, nine_digits, quoted_text, seconds

_NOT_ACCOUNTED: Final = (1 << 64) - 1

_PARTS_KEPT: Final = 256
"""Of each sort; recurring parts recur soon, so all are dropped when there are more."""
_PART_KEPT_BYTES: Final = 4096
"""What is made of a longer text is not kept: as JSON it may be six times as long."""
_STEP_NS: Final = 100_000
"""A wall clock that moved further has been set: slewed, it moves less between two batches."""

FLAG_NAMES = {
    "late": "AGENTD_LATE",
    "forced": "AGENTD_FORCED",
    "args_truncated": "AGENTD_ARGS_TRUNCATED",
    "path_truncated": "AGENTD_PATH_TRUNCATED",
    "cwd_truncated": "AGENTD_CWD_TRUNCATED",
    "inferred": "AGENTD_INFERRED",
}
_TYPES = {"fork": "start", "exec": "start", "exit": "end"}


class EcsRenderer:
    """Renders batches of one host and boot.

    ``boot_id``: 32 hexadecimal digits. ``page_bytes``: the unit of max_rss_pages.
    """

    def __init__(self, wire: Wire, boot_id: str, page_bytes: int, names: Names) -> None:
        self._entity = entity_prefix(boot_id)
        self._page_bytes = page_bytes
        self._kind_names = kind_names(wire)
        self._ids = EventIds(self._entity, self._kind_names)
        self._events = tuple(_event(_TYPES[name], name) for name in self._kind_names)
        self._change = _event("change", "exec")
        self._flags = {name: wire.constant(macro) for name, macro in FLAG_NAMES.items()}
        self._execs = ExecRenderer(wire, self._entity, names)
        self._names = names
        self._codes: dict[int, tuple[str, str]] = {}
        self._owners: dict[tuple[int, int], str] = {}
        self._processes: dict[tuple[int, int], tuple[str, str]] = {}
        self._images: dict[Image, ImageParts] = {}
        self._parents: dict[Key, tuple[Image | None, str]] = {}
        self._cpus: dict[int, str] = {}
        self._numbers: dict[int, str] = {}
        self._offset_ns = 0
        self._second_ns = -SECOND_NS
        self._second_text = ""

    def render(self, batch: Batch) -> bytes:
        """One line for each entry."""
        offset_ns = self._follow_clock(batch.wall_offset_ns)
        events, change = self._events, self._change
        lines = []
        for sequence, entry in enumerate(batch.entries, batch.first_sequence):
            if not isinstance(entry, Applied):
                lines.append(self._other(entry, sequence, offset_ns))
                continue
            event, image, parent_image, changed, doubt, leaders = entry
            ns, flags = event[at.BOOTTIME_NS], event[at.FLAGS]
            when = self._time(ns + offset_ns)
            more = details = raw = top = ""
            if isinstance(event, Exit):
                more, details = self._ending(event, when)
            elif isinstance(event, Exec):
                more, details, raw, top = self._execs.render(event, leaders)
            elif event[at.CREATOR_TGID]:
                details = self._creator(event)
            key = event[at.TGID], event[at.START_BOOTTIME_NS]
            process, start = self._process(key, offset_ns)
            what, image_raw, known = self._image(image)
            if known:
                details += known
            if raw or image_raw:
                details += f',"raw":{{{",".join(filter(None, (image_raw, raw)))}}}'
            if doubt is not None:
                details += _doubtful(doubt)
            owner = self._owner(event[at.UID], event[at.GID])
            parent = event[at.PARENT_TGID], event[at.PARENT_START_BOOTTIME_NS]
            whose = self._parent(parent, parent_image)
            cpu, seq = event[at.CPU], event[at.SEQ]
            where = self._cpus.get(cpu) or self._add_cpu(cpu)
            lines.append(
                f'{{"@timestamp":"{when}{change if changed else events[event[at.KIND]]}{sequence}'
                f'{self._numbers[cpu]}{seq}"}},'
                f'"process":{{{process}{what}{start}{more},{owner}{whose}}}{top}{where}'
                f'{seq},"boottime_ns":{ns}{details},"flags":['
                f"{self._flag_list(flags) if flags else ''}]}}}}\n"
            )
        return "".join(lines).encode("ascii")

    def _follow_clock(self, offset_ns: int) -> int:
        """Forget times that were rendered before the wall clock was set; gives the offset."""
        if not -_STEP_NS < offset_ns - self._offset_ns < _STEP_NS:
            self._processes.clear()
            self._offset_ns = offset_ns
        return offset_ns

    def _creator(self, event: Fork) -> str:
        """Who made it, where that is not its parent."""
        tgid = event.creator_tgid
        entity = f"{self._entity}-{tgid}-{event.creator_start_boottime_ns}"
        return f',"creator":{{"pid":{tgid},"entity_id":"{entity}"}}'

    def _ending(self, event: Exit, when: str) -> tuple[str, str]:
        raw_code, utime_ns, stime_ns, runtime_ns, rss_pages, read_bytes, written_bytes = event[
            13:20
        ]
        code, killed = self._codes.get(raw_code) or self._add_code(raw_code)
        user_ns, system_ns = scale_cpu_times(utime_ns, stime_ns, runtime_ns)
        wall_ns = event[at.BOOTTIME_NS] - event[at.START_BOOTTIME_NS]
        return (
            f',"end":"{when}"{code}',
            f'{killed},"wall_seconds":{seconds(wall_ns)}'
            f',"cpu_user_seconds":{seconds(user_ns)}'
            f',"cpu_system_seconds":{seconds(system_ns)}'
            f',"max_rss_bytes":{rss_pages * self._page_bytes}{_io(read_bytes, written_bytes)}',
        )

    def _add_code(self, raw_code: int) -> tuple[str, str]:
        """The parts that say how a process ended, of that many codes as there are."""
        status, signal, core_dumped = read_exit_code(raw_code)
        code = "" if status is None else f',"exit_code":{status}'
        killed = "" if signal is None else f',"signal":{signal}'
        parts = self._codes[raw_code] = (
            code, f'{killed},"core_dumped":{"true" if core_dumped else "false"}'
        )  # fmt: skip
        return parts

    def _other(self, entry: Lost | Inferred, sequence: int, offset_ns: int) -> str:
        if isinstance(entry, Lost):
            return self._lost(entry, sequence, offset_ns)
        return self._inferred(entry, sequence, offset_ns)

    def _inferred(self, entry: Inferred, sequence: int, offset_ns: int) -> str:
        """What is known of an event that nobody saw: no CPU, no number, no ending."""
        when = self._time(entry.boottime_ns + offset_ns)
        process, start = self._add_process(entry.key, offset_ns)
        what, raw, known = self._image(entry.image)
        whose = self._parent(entry.parent, entry.parent_image)
        user = "" if entry.user is None else f",{self._owner(*entry.user)}"
        identity = self._ids.of_inferred(entry)
        inside = known + (f',"raw":{{{raw}}}' if raw else "")
        if entry.doubt is not None:
            inside += _doubtful(entry.doubt)
        if entry.before is not None:
            inside += f',"evidence":{quoted_text(entry.evidence)}{render_before(entry.before)}'
        return (
            f'{{"@timestamp":"{when}{self._events[entry.kind]}{sequence},"id":"{identity}"}},'
            f'"process":{{{process}{what}{start}{user}{whose}}},'
            f'"agentd":{{"boottime_ns":{entry.boottime_ns}{inside},"flags":["inferred"]}}}}\n'
        )

    def _lost(self, lost: Lost, sequence: int, offset_ns: int) -> str:
        kind = "" if lost.kind is None else f',"kind":"{self._kind_names[lost.kind]}"'
        where, whose = f'"cpu":{lost.cpu},"seq":{lost.seq},', f'"cpu":{lost.cpu},'
        if lost.cpu == NO_CPU:
            where = whose = ""
        return (
            f'{{"@timestamp":"{self._time(lost.boottime_ns + offset_ns)}","event":{{"kind":"event",'
            f'"category":["process"],"type":["info"],"action":"lost","sequence":{sequence},'
            f'"id":"{self._ids.of_lost(lost)}"}},'
            f'"agentd":{{{where}"boottime_ns":{lost.boottime_ns},'
            f'"lost":{{"count":{lost.missing},{whose}"stage":"{lost.stage}"{kind},'
            f'"from_boottime_ns":{lost.from_boottime_ns},"to_boottime_ns":{lost.to_boottime_ns}}},'
            f'"flags":[]}}}}\n'
        )

    def _add_process(self, key: tuple[int, int], offset_ns: int) -> tuple[str, str]:
        """The parts that say which process it is, and when it started."""
        if len(self._processes) >= _PARTS_KEPT:
            self._processes.clear()
        tgid, start_ns = key
        parts = self._processes[key] = (
            f'"pid":{tgid},"entity_id":"{self._entity}-{tgid}-{start_ns}",',
            f'"start":"{self._time(start_ns + offset_ns)}"',
        )
        return parts

    def _process(self, key: tuple[int, int], offset_ns: int) -> tuple[str, str]:
        return self._processes.get(key) or self._add_process(key, offset_ns)

    def _image(self, image: Image) -> ImageParts:
        return self._images.get(image) or self._add_image(image)

    def _owner(self, uid: int, gid: int) -> str:
        return self._owners.get((uid, gid)) or self._add_owner(uid, gid)

    def _parent(self, key: Key, image: Image | None) -> str:
        known = self._parents.get(key)
        return known[1] if known and known[0] is image else self._add_parent(key, image)

    def _add_image(self, image: Image) -> ImageParts:
        """The parts that say what a process runs."""
        parts = render_image(image)
        if len(image.executable) + len(image.args) <= _PART_KEPT_BYTES:
            if len(self._images) >= _PARTS_KEPT:
                self._images.clear()
            self._images[image] = parts
        return parts

    def _add_owner(self, uid: int, gid: int) -> str:
        """The part that says whose it is; kept when both names are known."""
        user, group = self._names.user(uid), self._names.group(gid)
        text = f'"user":{{{named(uid, user)}}},"group":{{{named(gid, group)}}}'
        if user and group:
            if len(self._owners) >= _PARTS_KEPT:
                self._owners.clear()
            self._owners[uid, gid] = text
        return text

    def _add_parent(self, key: Key, image: Image | None) -> str:
        """The part that says who started it; a blank, which JSON ignores, where nobody did."""
        text = render_parent(self._entity, key, image)
        if image is None or len(image.executable) + len(image.args) <= _PART_KEPT_BYTES:
            if len(self._parents) >= _PARTS_KEPT:
                self._parents.clear()
            self._parents[key] = image, text
        return text

    def _add_cpu(self, cpu: int) -> str:
        """The part between a process and its number on that CPU; and that before an event's id."""
        self._numbers[cpu] = f',"id":"{self._ids.before_seq(cpu)}'
        text = self._cpus[cpu] = f',"agentd":{{"cpu":{cpu},"seq":'
        return text

    def _flag_list(self, flags: int) -> str:
        return ",".join([f'"{name}"' for name, bit in self._flags.items() if flags & bit])

    def _time(self, wall_ns: int) -> str:
        ns = wall_ns - self._second_ns
        if not 0 <= ns < SECOND_NS:
            second, ns = divmod(wall_ns, SECOND_NS)
            self._second_ns = second * SECOND_NS
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._second_text}{nine_digits(ns)}Z"


def _io(read_bytes: int, written_bytes: int) -> str:
    """Nothing where the kernel keeps no account of it."""
    if not read_bytes and not written_bytes:
        return ',"read_bytes":0,"written_bytes":0'
    if read_bytes == _NOT_ACCOUNTED:
        return ""
    return f',"read_bytes":{read_bytes},"written_bytes":{written_bytes}'


def _doubtful(doubt: Doubt) -> str:
    """Members of ``agentd`` that tell what is not certain."""
    suspect = [f'"{name}"' for name in ("process", "parent") if getattr(doubt, name)]
    text = f',"suspect":[{",".join(suspect)}]' if suspect else ""
    if doubt.undecided:
        text += f',"undecided":["{doubt.undecided}"]'
    return f'{text},"parent_unknown":"{doubt.parent_unknown}"' if doubt.parent_unknown else text


def _event(event_type: str, name: str) -> str:
    """The part between an event's time and its number."""
    return (
        f'","event":{{"kind":"event","category":["process"],"type":["{event_type}"],'
        f'"action":"{name}","sequence":'
    )
