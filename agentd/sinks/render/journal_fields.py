"""Events as journal entries with fields to query by (systemd.journal-fields(7)).

``journalctl AGENTD_ACTION=exec AGENTD_EXE=/usr/bin/curl``. Each field has the value that the JSON
of docs/events.md has at the place that ``FIELDS`` names.
"""

from __future__ import annotations

import shlex
from typing import TypeAlias

from agentd.core.batch import Batch
from agentd.core.cgroup_identity import identify
from agentd.core.exit_status import read_exit_code
from agentd.core.names import Names, tty_name
from agentd.core.pipeline import Entry
from agentd.core.text import as_text
from agentd.core.tree.process import SOMEBODY, Applied, Image, Key, Leaders, Notes, entity_prefix
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import NO_CPU, Exec, Exit, Lost, kind_names
from agentd.core.wire.exec_context import PlaceReader
from agentd.core.wire.header import Wire
from agentd.sinks.render.ecs import FLAG_NAMES
from agentd.sinks.render.ecs_id import EventIds
from agentd.sinks.render.ecs_image import split_args
from agentd.systemd.journal_protocol import datagram
from agentd.terminal.escape import printable

FIELDS = {
    "AGENTD_EVENT_ID": "event.id",
    "AGENTD_ACTION": "event.action",
    "AGENTD_PID": "process.pid",
    "AGENTD_ENTITY_ID": "process.entity_id",
    "AGENTD_NAME": "process.name",
    "AGENTD_EXE": "process.executable",
    "AGENTD_ARGS": "process.args",
    "AGENTD_CWD": "process.working_directory",
    "AGENTD_UID": "process.user.id",
    "AGENTD_USER": "process.user.name",
    "AGENTD_PARENT_PID": "process.parent.pid",
    "AGENTD_PARENT_ENTITY_ID": "process.parent.entity_id",
    "AGENTD_PARENT_EXE": "process.parent.executable",
    "AGENTD_EXIT_CODE": "process.exit_code",
    "AGENTD_SIGNAL": "agentd.signal",
    "AGENTD_TTY": "agentd.tty",
    "AGENTD_LOGIN_UID": "agentd.login_uid",
    "AGENTD_ENTRY": "process.entry_leader.entry_meta.type",
    "AGENTD_CGROUP": "agentd.cgroup.path",
    "AGENTD_UNIT": "agentd.cgroup.unit",
    "AGENTD_CONTAINER_ID": "container.id",
    "AGENTD_CPU": "agentd.cpu",
    "AGENTD_SEQ": "agentd.seq",
    "AGENTD_BOOTTIME_NS": "agentd.boottime_ns",
    "AGENTD_LOST_COUNT": "agentd.lost.count",
    "AGENTD_LOST_STAGE": "agentd.lost.stage",
    "AGENTD_FLAGS": "agentd.flags",
    "AGENTD_UNDECIDED": "agentd.undecided",
    "AGENTD_REDACTION": "agentd.redaction",
}
"""Journal field, and where the JSON has it. A field that an event has not is not in its entry."""

LOST = "lost"
"""Where any event goes, losses go too."""

_INFO, _WARNING = "6", "4"
_PLACES_KEPT = 256

Fields: TypeAlias = dict[str, str]


class JournalEncoder:
    """Batches as datagrams of the journal's protocol, one an event. ``boot_id``: 32 digits."""

    def __init__(self, wire: Wire, boot_id: str, names: Names, actions: tuple[str, ...]) -> None:
        self._entity = entity_prefix(boot_id)
        self._kind_names = kind_names(wire)
        self._ids = EventIds(self._entity, self._kind_names)
        self._flags = {name: wire.constant(macro) for name, macro in FLAG_NAMES.items()}
        self._unset = wire.constant("AGENTD_UNSET")
        self._place_reader = PlaceReader(wire)
        self._places: dict[bytes, Fields] = {}
        self._names = names
        self.choose(actions)

    def choose(self, actions: tuple[str, ...]) -> None:
        """Which go there from now on."""
        self._actions = {*actions, LOST}

    def encode(self, batch: Batch) -> list[bytes]:
        """An entry for each event whose action is asked for."""
        return [
            datagram(self._fields(entry, action))
            for entry in batch.entries
            if (action := self._action(entry)) in self._actions
        ]

    def _action(self, entry: Entry) -> str:
        if isinstance(entry, Lost):
            return LOST
        return self._kind_names[entry.kind if isinstance(entry, Inferred) else entry.event.kind]

    def _fields(self, entry: Entry, action: str) -> Fields:
        if isinstance(entry, Lost):
            fields = self._lost(entry)
        elif isinstance(entry, Inferred):
            fields = self._inferred(entry, action)
        else:
            fields = self._applied(entry, action)
        priority = _WARNING if action == LOST else _INFO
        about = {"PRIORITY": priority, "SYSLOG_IDENTIFIER": "agentd", "AGENTD_ACTION": action}
        return about | {name: value for name, value in fields.items() if value}

    def _lost(self, lost: Lost) -> Fields:
        known = lost.cpu != NO_CPU
        where = f" on cpu {lost.cpu}" if known else ""
        return {
            "MESSAGE": f"lost {lost.missing} events{where} ({lost.stage})",
            "AGENTD_EVENT_ID": self._ids.of_lost(lost),
            "AGENTD_CPU": str(lost.cpu) if known else "",
            "AGENTD_SEQ": str(lost.seq) if known else "",
            "AGENTD_BOOTTIME_NS": str(lost.boottime_ns),
            "AGENTD_LOST_COUNT": str(lost.missing),
            "AGENTD_LOST_STAGE": lost.stage,
        }

    def _inferred(self, entry: Inferred, action: str) -> Fields:
        parent = "somebody" if entry.parent == SOMEBODY else str(entry.parent[0] or "nobody")
        return {
            "MESSAGE": _message(action, entry.key[0], entry.image, parent, "end not seen"),
            "AGENTD_EVENT_ID": self._ids.of_inferred(entry),
            **self._process(entry.key, entry.image),
            **self._parent(entry.parent, entry.parent_image),
            **({} if entry.user is None else self._user(entry.user[0])),
            "AGENTD_UNDECIDED": "" if entry.doubt is None else entry.doubt.undecided,
            "AGENTD_BOOTTIME_NS": str(entry.boottime_ns),
            "AGENTD_FLAGS": "inferred",
        }

    def _applied(self, applied: Applied, action: str) -> Fields:
        event, image = applied.event, applied.image
        parent = event.parent_tgid, event.parent_start_boottime_ns
        status, signal = None, None
        if isinstance(event, Exit):
            status, signal, _ = read_exit_code(event.exit_code)
        ending = f"status {status}" if signal is None else f"signal {signal}"
        return {
            "MESSAGE": _message(action, event.tgid, image, str(parent[0] or "nobody"), ending),
            "AGENTD_EVENT_ID": f"{self._ids.before_seq(event.cpu)}{event.seq}",
            **self._process((event.tgid, event.start_boottime_ns), image),
            **self._parent(parent, applied.parent_image),
            **self._user(event.uid),
            "AGENTD_EXIT_CODE": "" if status is None else str(status),
            "AGENTD_SIGNAL": "" if signal is None else str(signal),
            **(self._exec(event, applied.leaders) if isinstance(event, Exec) else {}),
            "AGENTD_UNDECIDED": "" if applied.doubt is None else applied.doubt.undecided,
            "AGENTD_CPU": str(event.cpu),
            "AGENTD_SEQ": str(event.seq),
            "AGENTD_BOOTTIME_NS": str(event.boottime_ns),
            "AGENTD_FLAGS": " ".join(
                name for name, bit in self._flags.items() if event.flags & bit
            ),
        }

    def _exec(self, event: Exec, leaders: Leaders | None) -> Fields:
        entry = leaders.entry_kind if leaders is not None and leaders.entry is not None else ""
        return self._place(event.place) | {"AGENTD_CWD": as_text(event.cwd), "AGENTD_ENTRY": entry}

    def _process(self, key: Key, image: Image) -> Fields:
        return {
            "AGENTD_PID": str(key[0]),
            "AGENTD_ENTITY_ID": f"{self._entity}-{key[0]}-{key[1]}",
            "AGENTD_NAME": as_text(image.name),
            "AGENTD_EXE": as_text(image.executable),
            "AGENTD_ARGS": shlex.join(_args(image)),
            "AGENTD_REDACTION": "incomplete" if image.notes & Notes.REDACTION_INCOMPLETE else "",
        }

    def _parent(self, key: Key, image: Image | None) -> Fields:
        if not key[0]:
            return {}
        return {
            "AGENTD_PARENT_PID": str(key[0]),
            "AGENTD_PARENT_ENTITY_ID": f"{self._entity}-{key[0]}-{key[1]}",
            "AGENTD_PARENT_EXE": "" if image is None else as_text(image.executable),
        }

    def _user(self, uid: int) -> Fields:
        return {"AGENTD_UID": str(uid), "AGENTD_USER": self._names.user(uid) or ""}

    def _place(self, place_bytes: bytes) -> Fields:
        """What an exec's place says; kept, unless its cgroup may be found the next time."""
        known = self._places.get(place_bytes)
        if known is not None:
            return known
        place = self._place_reader.read(place_bytes)
        path = self._names.cgroup(place.cgroup_id)
        whose = identify(path or "")
        fields = {
            "AGENTD_TTY": tty_name(place.tty),
            "AGENTD_LOGIN_UID": "" if place.login_uid == self._unset else str(place.login_uid),
            "AGENTD_CGROUP": path or "",
            "AGENTD_UNIT": whose.unit,
            "AGENTD_CONTAINER_ID": whose.container_id,
        }
        if path is not None:
            if len(self._places) >= _PLACES_KEPT:
                self._places.clear()
            self._places[place_bytes] = fields
        return fields


def _args(image: Image) -> list[str]:
    """None where the tree had no room for them any more."""
    if not image.args_count or image.notes & Notes.ARGS_FORGOTTEN:
        return []
    return list(map(as_text, split_args(image.args)))


def _message(action: str, pid: int, image: Image, parent: str, ending: str) -> str:
    """For people: what happened, and to whom."""
    start, name = f"{action} {pid}", printable(as_text(image.name))
    if action == "exec":
        command = [as_text(image.executable or image.name), *_args(image)[1:]]
        return printable(f"{start} {shlex.join(command)}")
    return f"{start} {name} of {parent}" if action == "fork" else f"{start} {name} {ending}"
