"""Raw records to events.

Any bytes give an event or a counted error, and nothing else. A record is believed only if its
kind is known and its own ``record_bytes`` agrees with its content and fits what the transport
delivered: a torn or foreign record is an error, never an event.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from agentd.core.wire import events as at
from agentd.core.wire.events import Event, Exec, Exit, Fork
from agentd.core.wire.header import Layout, Wire, WireError

Span = tuple[int, int]
"""Where one record lies in a buffer: offset and length in bytes."""

_TAILS_KEPT: Final = 256
_TAIL_KEPT_BYTES: Final = 4096
"""What is longer is not kept."""
_TailKey: TypeAlias = tuple[bytes, int, int, int, int]
"""What follows an exec's numbers, the lengths of three texts in it, and the flags."""
_Tail: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes]
"""place, filename, path, cwd, args"""

# Event(*fields) would run Python for each event; this makes the same object in C.
_make: Final = tuple.__new__


class Decoder:
    """Decodes the records of one wire contract, for a host with ``cpus`` possible CPUs.

    Raises WireError if the contract's structs are not those that the events were written for.
    """

    def __init__(self, wire: Wire, cpus: int) -> None:
        self.errors = 0
        """Records that were not believed."""
        self._cpus = cpus
        header = wire.layout("agentd_header")
        self._header_bytes = header.size
        self._kind_at = _low_byte_of(header, "kind")
        texts = ("filename", "path", "cwd", "args")
        fork = _fixed(wire.layout("agentd_fork"), Fork, ())
        exec_ = _fixed(wire.layout("agentd_exec"), Exec, ("place", *texts))
        exit_ = _fixed(wire.layout("agentd_exit"), Exit, ())
        self._unpack_fork, self._fork_bytes = fork.unpack_from, fork.size
        self._unpack_exec, self._exec_bytes = exec_.unpack_from, exec_.size
        self._unpack_exit, self._exit_bytes = exit_.unpack_from, exit_.size
        self._place_bytes = wire.layout("agentd_place").size
        self._cut_flags = (
            wire.constant("AGENTD_PATH_TRUNCATED"),
            wire.constant("AGENTD_CWD_TRUNCATED"),
        )
        self._tails: dict[_TailKey, _Tail] = {}
        self._fork_kind = wire.constant("AGENTD_FORK")
        self._exec_kind = wire.constant("AGENTD_EXEC")
        self._exit_kind = wire.constant("AGENTD_EXIT")

    def decode(self, data: bytes, spans: Iterable[Span]) -> list[Event]:
        """The events in ``data`` at ``spans``, in that order; ``errors`` counts the others."""
        events: list[Event] = []
        for offset, length in spans:
            event = self._event(data, offset, min(length, len(data) - offset))
            if event is None:
                self.errors += 1
            else:
                events.append(event)
        return events

    def _event(self, data: bytes, offset: int, length: int) -> Event | None:
        """The event in at most ``length`` bytes, if they are to be believed."""
        if length < self._header_bytes:
            return None
        kind = data[offset + self._kind_at]
        if kind == self._exec_kind:
            return self._exec(data, offset, length)
        event: type[Fork | Exit] = Fork
        unpack, record_bytes = self._unpack_fork, self._fork_bytes
        if kind == self._exit_kind:
            event, unpack, record_bytes = Exit, self._unpack_exit, self._exit_bytes
        elif kind != self._fork_kind:
            return None
        if length < record_bytes:
            return None
        fields = unpack(data, offset)
        return _make(event, fields) if self._agrees(fields, kind, record_bytes) else None

    def _exec(self, data: bytes, offset: int, length: int) -> Exec | None:
        start = self._exec_bytes + self._place_bytes
        if length < start:
            return None
        fields = self._unpack_exec(data, offset)
        filename_bytes: int = fields[at.FILENAME_BYTES]
        path_bytes: int = fields[at.PATH_BYTES]
        cwd_bytes: int = fields[at.CWD_BYTES]
        args_bytes: int = fields[at.ARGS_BYTES]
        record_bytes = start + filename_bytes + path_bytes + cwd_bytes + args_bytes
        if record_bytes > length or not self._agrees(fields, self._exec_kind, record_bytes):
            return None
        text = data[offset + self._exec_bytes : offset + record_bytes]
        key = (text, filename_bytes, path_bytes, cwd_bytes, fields[at.FLAGS])
        tail = self._tails.get(key)
        if tail is None:
            tail = self._add_tail(key)
        return _make(Exec, fields + tail)

    def _agrees(self, fields: tuple[Any, ...], kind: int, record_bytes: int) -> bool:
        """Whether a record says of itself what was found."""
        own_kind: int = fields[at.KIND]
        own_bytes: int = fields[at.RECORD_BYTES]
        cpu: int = fields[at.CPU]
        return own_kind == kind and own_bytes == record_bytes and cpu < self._cpus

    def _add_tail(self, key: _TailKey) -> _Tail:
        """Take apart what follows an exec's numbers; the same commands recur, and share it."""
        tail, filename_bytes, path_bytes, cwd_bytes, flags = key
        filename = self._place_bytes
        path = filename + filename_bytes
        cwd = path + path_bytes
        args = cwd + cwd_bytes
        path_cut, cwd_cut = (flags & flag for flag in self._cut_flags)
        parts = (
            tail[:filename],
            tail[filename : path - 1] if filename_bytes else b"",
            _join(tail[path:cwd], path_cut) if path_bytes else b"",
            _join(tail[cwd:args], cwd_cut),
            tail[args:],
        )
        if len(tail) <= _TAIL_KEPT_BYTES:
            if len(self._tails) >= _TAILS_KEPT:
                self._tails.clear()
            self._tails[key] = parts
        return parts


def _join(names: bytes, cut: int) -> bytes:
    """The path of names that stand from its end up to the root."""
    path = b"/".join(reversed(names.split(b"\0")[:-1]))
    return path if cut else b"/" + path


def _low_byte_of(layout: Layout, name: str) -> int:
    """Where the byte stands that holds a member's last eight bits."""
    (member,) = (member for member in layout.members if member.name == name)
    is_little_endian = struct.pack("=H", 1)[0] == 1
    return member.offset + (0 if is_little_endian else member.size - 1)


def _fixed(layout: Layout, event: type[NamedTuple], tail: tuple[str, ...]) -> struct.Struct:
    """A record up to its tail, if these are the event's fields."""
    opaque = tuple(name for name in tail if name in layout.names)
    _check(layout, event, tuple(name for name in tail if name not in opaque))
    members = layout.members[: len(layout.members) - len(opaque)]
    return struct.Struct("=" + "".join(member.code for member in members))


def _check(layout: Layout, event: type[NamedTuple], text_fields: tuple[str, ...]) -> None:
    expected = event._fields[: len(event._fields) - len(text_fields)]
    if layout.names != expected:
        raise WireError(
            f"struct {layout.name} has the members {layout.names}, but its event has {expected}"
        )
