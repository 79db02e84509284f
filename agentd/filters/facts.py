"""Facts for filters, out of processes and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

from agentd.core.batch import Choose
from agentd.core.cgroup_identity import identify
from agentd.core.exit_status import read_exit_code
from agentd.core.names import Names, tty_name
from agentd.core.pipeline import Entry
from agentd.core.text import as_text
from agentd.core.tree.ancestry import whereabouts
from agentd.core.tree.images import path_bytes
from agentd.core.tree.process import SOMEBODY, Applied, Doubt, Image, Key, Process, Unknown
from agentd.core.tree.reparenting import Adopters
from agentd.core.wire.events import Exit, kind_names
from agentd.core.wire.exec_context import PlaceReader
from agentd.core.wire.header import Wire
from agentd.filters.fields import Facts
from agentd.filters.pattern_limits import Undecided

_WHERES_KEPT = 1024
_WHERES_BYTES_MAX = 1 << 20
"""Of their paths; the parts of one take no more than as much again."""

EntryFilter: TypeAlias = Callable[[Entry], bool]


class Where(NamedTuple):
    """Where something runs; each None where that is not known or there is none."""

    cgroup: str | None
    unit: str | None
    slice: str | None
    container: str | None
    tty: str | None
    login: int | None


_NOWHERE = Where(None, None, None, None, None, None)


class Known(Protocol):
    """What is asked of a tree."""

    @property
    def adopters(self) -> Adopters:
        """Who is whose parent."""

    def find(self, key: Key) -> Process | None:
        """The process of that key, if it is known."""


class FactFinder:
    """Knows about processes of one tree. ``entity``: the first digits of the boot id."""

    def __init__(self, tree: Known, wire: Wire, names: Names, entity: str) -> None:
        self._tree = tree
        self._names = names
        self._entity = entity
        self._places = PlaceReader(wire)
        self._unset = wire.constant("AGENTD_UNSET")
        self.actions = kind_names(wire)
        """The names of events, by kind."""
        self._wheres: dict[bytes, Where] = {}
        self._wheres_bytes = 0

    def of_process(self, process: Process) -> Facts:
        """Of one in the tree."""
        ending = _ending(process.exit_code) if process.exit_code is not None else {}
        parent = self._tree.adopters.parent(process)
        return {
            **self._who(process.key, process.image, process.uid),
            "parent": None if parent == SOMEBODY else parent[0],
            "session": process.session,
            "live": not process.exited_ns,
            **ending,
            **self.where(process)._asdict(),
        }

    def of_event(self, applied: Applied) -> Facts:
        """Of an event, and of its process as the event found it."""
        event = applied.event
        key = (event.tgid, event.start_boottime_ns)
        process = self._tree.find(key)
        return {
            **self._who(key, applied.image, event.uid),
            "action": self.actions[event.kind],
            "parent": event.parent_tgid,
            "session": process.session if process is not None else None,
            "live": not isinstance(event, Exit),
            **(_ending(event.exit_code) if isinstance(event, Exit) else {}),
            **self.of_applied(applied)._asdict(),
        }

    def of_applied(self, applied: Applied) -> Where:
        """Where the process of an event runs."""
        if applied.image.place:
            return self.place(applied.image.place)
        process = self._tree.find((applied.event.tgid, applied.event.start_boottime_ns))
        return _NOWHERE if process is None else self.where(process)

    def where(self, process: Process) -> Where:
        """Where a process runs: as of its last exec, or as /proc showed it or its creator."""
        place_bytes, seen_cgroup = whereabouts(process)
        if place_bytes:
            return self.place(place_bytes)
        return _by_path(seen_cgroup, None, None) if seen_cgroup else _NOWHERE

    def user(self, uid: int) -> str | None:
        """The user's name, if it is known."""
        return self._names.user(uid) if uid >= 0 else None

    def _who(self, key: Key, image: Image, uid: int) -> Facts:
        return {
            "pid": key[0],
            "entity": f"{self._entity}-{key[0]}-{key[1]}",
            "exe": as_text(image.executable),
            "name": as_text(image.name),
            "args": as_text(image.args.removesuffix(b"\0").replace(b"\0", b" ")),
            "uid": uid if uid >= 0 else None,
            "user": self.user(uid),
        }

    def place(self, place_bytes: bytes) -> Where:
        """What is packed into the place of an image."""
        known = self._wheres.get(place_bytes)
        if known is not None:
            return known
        place = self._places.read(place_bytes)
        path = self._names.cgroup(place.cgroup_id)
        login = place.login_uid if place.login_uid != self._unset else None
        where = _by_path(path or "", tty_name(place.tty) or None, login)
        if path is not None:  # or it may be found the next time
            self._keep(place_bytes, where, path)
        return where

    def _keep(self, place_bytes: bytes, where: Where, path: str) -> None:
        size_bytes = len(place_bytes) + path_bytes(path)
        full = self._wheres_bytes + size_bytes > _WHERES_BYTES_MAX
        if full or len(self._wheres) >= _WHERES_KEPT:
            self._wheres.clear()
            self._wheres_bytes = 0
        self._wheres[place_bytes] = where
        self._wheres_bytes += size_bytes


def entry_choice(
    where: str, text: str, facts_of: Callable[[Applied], Facts], undecided: Undecided
) -> Choose | None:
    """Which entries a filter wants; losses, and what they hid, go with any. None without one.

    ``where``: its key in the configuration. What it cannot decide it wants, and flags.
    """
    if not text:
        return None
    from agentd.filters.language import parse_filter  # noqa: PLC0415 (memory)

    wanted, matcher = parse_filter(text), undecided.matcher

    def choose(entry: Entry, number: int) -> Entry | None:
        if not isinstance(entry, Applied):
            return entry
        before = matcher.given_up
        verdict = wanted.verdict(facts_of(entry), matcher.search)
        if matcher.given_up != before:
            undecided.note(where, number, verdict)
        return chosen(entry, verdict, where)

    return choose


def chosen(entry: Applied, verdict: bool | None, where: str) -> Applied | None:
    """The entry as it is to be written, if it is; flagged where that is undecided."""
    if verdict is not None:
        return entry if verdict else None
    doubt = entry.doubt or Doubt(process=False, parent=False, parent_unknown=Unknown.KNOWN)
    return entry._replace(doubt=doubt._replace(undecided=where))


def _by_path(path: str, tty: str | None, login: int | None) -> Where:
    whose = identify(path)
    parts = whose.unit or None, whose.slice or None, whose.container_id or None
    return Where(path or None, *parts, tty, login)


def _ending(exit_code: int) -> Facts:
    status, signal, _ = read_exit_code(exit_code)
    return {"status": status, "signal": signal}
