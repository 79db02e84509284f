"""What an exec's line says beyond that of other events: where it ran, as whom, out of what.

Most of it is the same for all that runs in one place, so it is rendered once for each and kept.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from agentd.core.cgroup_identity import Identity, identify
from agentd.core.names import Names, tty_name
from agentd.core.tree.process import Key, Leaders
from agentd.core.wire import events as at
from agentd.core.wire.events import Exec
from agentd.core.wire.exec_context import Place, PlaceReader
from agentd.core.wire.header import Wire
from agentd.sinks.render.json_text import named, quoted, quoted_text, raw_parts

_PARTS_KEPT: Final = 128
_PART_KEPT_BYTES: Final = 1024
"""What is made of longer names is not kept."""


_Key: TypeAlias = tuple[bytes, bytes, bytes, int]
"""place, filename, cwd, flags"""
ExecParts: TypeAlias = tuple[str, str, str, str]
"""Pieces of JSON text that begin with a comma, for ``process`` and for ``agentd``; members for
``agentd.raw``; and members of the line itself."""


class ExecRenderer:
    """Renders what is particular to exec events."""

    def __init__(self, wire: Wire, entity: str, names: Names) -> None:
        self._names = names
        self._entity = entity
        self._places = PlaceReader(wire)
        self._script = wire.constant("AGENTD_SCRIPT")
        self._unlinked = wire.constant("AGENTD_UNLINKED")
        self._memfd = wire.constant("AGENTD_MEMFD")
        self._interactive = wire.constant("AGENTD_INTERACTIVE")
        self._untold = wire.constant("AGENTD_INTERACTIVE_UNKNOWN")
        of_file = self._script | self._unlinked | self._memfd
        self._flags = of_file | self._interactive | self._untold
        self._unset = wire.constant("AGENTD_UNSET")
        self._parts: dict[_Key, ExecParts] = {}
        self._unnamed: dict[_Key, tuple[int, int]] = {}
        """User and group of those parts that are without their names yet."""
        self._leaders: dict[Leaders, str] = {}

    def render(self, event: Exec, leaders: Leaders | None) -> ExecParts:
        """The parts of one event."""
        key = (event[at.PLACE], event[at.FILENAME], event[at.CWD], event[at.FLAGS] & self._flags)
        parts = self._parts.get(key)
        if parts is None or (key in self._unnamed and self._has_names(*self._unnamed[key])):
            parts = self._add(key)
        more, details, raw, top = parts
        if leaders is not None:
            more += self._leaders.get(leaders) or self._add_leaders(leaders)
        return more, f'{details},"pid_inside":{event[at.NS_TGID]}}}', raw, top

    def _add(self, key: _Key) -> ExecParts:
        """Render what all execs with that key have in common, and keep it."""
        place_bytes, filename, cwd, flags = key
        place = self._places.read(place_bytes)
        path = self._names.cgroup(place.cgroup_id)
        whose = Identity() if path is None else identify(path)
        folder = f',"working_directory":{quoted(cwd)}' if cwd else ""
        parts = (
            folder + self._is_interactive(flags) + self._who(place),
            self._file(place, filename, flags) + self._where(place, path, whose),
            raw_parts({"working_directory": cwd, "filename": filename}),
            _container(whose),
        )
        known = path is not None  # or it may be found the next time
        if known and len(filename) + len(cwd) + len(path or "") <= _PART_KEPT_BYTES:
            if len(self._parts) >= _PARTS_KEPT:
                self._parts.clear()
                self._unnamed.clear()
            self._parts[key] = parts
            self._unnamed.pop(key, None)
            if not self._has_names(place.real_uid, place.real_gid):
                self._unnamed[key] = place.real_uid, place.real_gid
        return parts

    def _has_names(self, uid: int, gid: int) -> bool:
        return bool(self._names.user(uid) and self._names.group(gid))

    def _add_leaders(self, leaders: Leaders) -> str:
        """Render whom a process belongs to, and keep it."""
        if len(self._leaders) >= _PARTS_KEPT:
            self._leaders.clear()
        entry = ""
        if leaders.entry is not None:
            meta = f',"entry_meta":{{"type":"{leaders.entry_kind}"}}'
            entry = f',"entry_leader":{{{self._who_leads(leaders.entry)}{meta}}}'
        text = self._leaders[leaders] = (
            f',"group_leader":{{{self._who_leads(leaders.process_group)}}}'
            f',"session_leader":{{{self._who_leads(leaders.session)}}}{entry}'
        )
        return text

    def _who_leads(self, key: Key) -> str:
        tgid, start_ns = key
        entity = f',"entity_id":"{self._entity}-{tgid}-{start_ns}"' if start_ns else ""
        return f'"pid":{tgid}{entity}'

    def _who(self, place: Place) -> str:
        major, minor = _numbers(place.tty_device)
        device = f',"tty":{{"char_device":{{"major":{major},"minor":{minor}}}}}' if major else ""
        user = named(place.real_uid, self._names.user(place.real_uid))
        group = named(place.real_gid, self._names.group(place.real_gid))
        return f'{device},"real_user":{{{user}}},"real_group":{{{group}}}'

    def _is_interactive(self, flags: int) -> str:
        if flags & self._untold:
            return ""
        return f',"interactive":{"true" if flags & self._interactive else "false"}'

    def _where(self, place: Place, path: str | None, whose: Identity) -> str:
        tty = tty_name(place.tty)
        login = {"login_uid": place.login_uid, "audit_session": place.audit_session}
        known = [f',"{name}":{value}' for name, value in login.items() if value != self._unset]
        mnt = f',"mnt":{place.mnt_ns}' if place.mnt_ns else ""
        return (
            f',"capabilities":{{"effective":"{place.caps_effective:016x}",'
            f'"permitted":"{place.caps_permitted:016x}"}}'
            f'{"".join(known)}{f""","tty":{quoted_text(tty)}""" if tty else ""}'
            f',"cgroup":{{"id":{place.cgroup_id}{_cgroup(path, whose)}}}'
            f',"namespaces":{{"pid":{place.pid_ns}{mnt}'
        )

    def _file(self, place: Place, filename: bytes, flags: int) -> str:
        """How the file was named and which one it is.

        An inode number has 64 bits, and is text, as ECS has it: JSON's readers keep 53 or 63.
        """
        name = f'"filename":{quoted(filename)},' if filename else ""
        major, minor = _numbers(place.exe_device)
        true = {"script": self._script, "unlinked": self._unlinked, "memfd": self._memfd}
        said = "".join(f',"{what}":true' for what, flag in true.items() if flags & flag)
        return f',"exec":{{{name}"inode":"{place.exe_inode}","device":"{major}:{minor}"{said}}}'


def _cgroup(path: str | None, whose: Identity) -> str:
    known = {"path": path, "unit": whose.unit, "slice": whose.slice}
    return "".join(f',"{name}":{quoted_text(value)}' for name, value in known.items() if value)


def _container(whose: Identity) -> str:
    """Members of the line itself."""
    text = ""
    if whose.container_id:
        runtime = f',"runtime":"{whose.runtime}"' if whose.runtime else ""
        text = f',"container":{{"id":{quoted_text(whose.container_id)}{runtime}}}'
    if whose.pod_uid:
        pod = f'{{"type":"pod","id":"{whose.pod_uid}"}}'
        text += f',"orchestrator":{{"type":"kubernetes","resource":{pod}}}'
    return text


_NUL = b"\0"
_MINOR_BITS = 20  # include/linux/kdev_t.h
_MINOR_MASK = (1 << _MINOR_BITS) - 1


def _numbers(device: int) -> tuple[int, int]:
    """Major and minor number of a dev_t, as the kernel has it."""
    return device >> _MINOR_BITS, device & _MINOR_MASK
