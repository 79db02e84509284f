"""Raw records to events.

Any bytes give an event or a counted error, and nothing else. A record is believed only if its
kind is known and its own ``record_bytes`` agrees with its content and fits what the transport
delivered: a torn or foreign record is an error, never an event.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from agentd.core.event import Event, Exec, Exit, Fork
from agentd.core.wire import Layout, Wire, WireError

Span = tuple[int, int]
"""Where one record lies in a buffer: offset and length in bytes."""

_CPU = Fork._fields.index("cpu")
_KIND = Fork._fields.index("kind")
_FLAGS = Fork._fields.index("flags")
_RECORD_BYTES = Fork._fields.index("record_bytes")

_TAILS_KEPT = 1024
_TailKey: TypeAlias = tuple[bytes, int, int, int, int]
"""What follows an exec's numbers, the lengths of three texts in it, and the flags."""
_Tail: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes]
"""place, filename, path, cwd, args"""

# Event(*fields) would run Python for each event; this makes the same object in C.
_make = tuple.__new__


class Decoder:
    """Decodes the records of one wire contract, for a host with ``cpus`` possible CPUs.

    Raises WireError if the contract's structs are not those that the events were written for.
    """

    def __init__(self, wire: Wire, cpus: int) -> None:
        self.errors = 0
        """Records that were not believed."""
        self._cpus = cpus
        header = wire.layout("agentd_header")
        self._header = header.compile()
        self._fork = _rest(header, wire.layout("agentd_fork"), Fork, ())
        texts = ("filename", "path", "cwd", "args")
        self._exec = _rest(header, wire.layout("agentd_exec"), Exec, ("place", *texts))
        self._place_bytes = wire.layout("agentd_place").size
        self._cut_flags = (
            wire.constant("AGENTD_PATH_TRUNCATED"),
            wire.constant("AGENTD_CWD_TRUNCATED"),
        )
        self._tails: dict[_TailKey, _Tail] = {}
        self._exit = _rest(header, wire.layout("agentd_exit"), Exit, ())
        self._fork_kind = wire.constant("AGENTD_FORK")
        self._exec_kind = wire.constant("AGENTD_EXEC")
        self._exit_kind = wire.constant("AGENTD_EXIT")

    def decode(self, data: bytes, spans: Iterable[Span]) -> list[Event]:
        """The events in ``data`` at ``spans``, in that order; ``errors`` counts the others."""
        events: list[Event] = []
        append = events.append
        unpack_header, header_bytes = self._header.unpack_from, self._header.size
        unpack_fork, fork_bytes = self._fork.unpack_from, header_bytes + self._fork.size
        for offset, length in spans:
            event: Event | None = None
            if header_bytes <= length <= len(data) - offset:
                header = unpack_header(data, offset)
                kind, record_bytes = header[_KIND], header[_RECORD_BYTES]
                if record_bytes > length or header[_CPU] >= self._cpus:
                    pass
                elif kind == self._fork_kind:
                    if record_bytes == fork_bytes:
                        event = _make(Fork, header + unpack_fork(data, offset + header_bytes))
                elif kind == self._exit_kind:
                    event = self._decode_exit(header, data, offset + header_bytes, record_bytes)
                elif kind == self._exec_kind:
                    event = self._decode_exec(header, data, offset + header_bytes, record_bytes)
            if event is None:
                self.errors += 1
            else:
                append(event)
        return events

    def _decode_exit(
        self, header: tuple[int, ...], data: bytes, offset: int, record_bytes: int
    ) -> Exit | None:
        rest = self._exit
        if record_bytes != self._header.size + rest.size:
            return None
        return _make(Exit, header + rest.unpack_from(data, offset))

    def _decode_exec(
        self, header: tuple[int, ...], data: bytes, offset: int, record_bytes: int
    ) -> Exec | None:
        rest = self._exec
        fixed_bytes = self._header.size + rest.size + self._place_bytes
        if record_bytes < fixed_bytes:
            return None
        fields = rest.unpack_from(data, offset)
        filename_bytes, path_bytes, cwd_bytes, args_bytes = fields[:4]
        if fixed_bytes + filename_bytes + path_bytes + cwd_bytes + args_bytes != record_bytes:
            return None
        start = offset + rest.size
        end = offset + record_bytes - self._header.size
        key = (data[start:end], filename_bytes, path_bytes, cwd_bytes, header[_FLAGS])
        tail = self._tails.get(key) or self._add_tail(key)
        return _make(Exec, header + fields + tail)

    def _add_tail(self, key: _TailKey) -> _Tail:
        """Take apart what follows an exec's numbers; the same commands recur, and share it."""
        if len(self._tails) >= _TAILS_KEPT:
            self._tails.clear()
        tail, filename_bytes, path_bytes, cwd_bytes, flags = key
        filename = self._place_bytes
        path = filename + filename_bytes
        cwd = path + path_bytes
        args = cwd + cwd_bytes
        path_cut, cwd_cut = (flags & flag for flag in self._cut_flags)
        parts = self._tails[key] = (
            tail[:filename],
            tail[filename : path - 1] if filename_bytes else b"",
            _join(tail[path:cwd], path_cut) if path_bytes else b"",
            _join(tail[cwd:args], cwd_cut),
            tail[args:],
        )
        return parts


def _join(names: bytes, cut: int) -> bytes:
    """The path of names that stand from its end up to the root."""
    path = b"/".join(reversed(names.split(b"\0")[:-1]))
    return path if cut else b"/" + path


def _rest(
    header: Layout, layout: Layout, event: type[NamedTuple], tail: tuple[str, ...]
) -> struct.Struct:
    """What follows the header in a record, up to the tail, if these are the event's fields."""
    opaque = tuple(name for name in tail if name in layout.names)
    _check(layout, event, tuple(name for name in tail if name not in opaque))
    members = layout.members[len(header.members) : len(layout.members) - len(opaque)]
    return struct.Struct("=" + "".join(member.code for member in members))


def _check(layout: Layout, event: type[NamedTuple], text_fields: tuple[str, ...]) -> None:
    expected = event._fields[: len(event._fields) - len(text_fields)]
    if layout.names != expected:
        raise WireError(
            f"struct {layout.name} has the members {layout.names}, but its event has {expected}"
        )
