"""Recordings that somebody made up, with checksums that are right.

An input is a program of mutations for a small recording of a real run: each byte chooses where to
go and what to put there. So every input is a file that passes the checksums, and differs from a
good one in few values.
"""

from __future__ import annotations

import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgpack

from agentd.errors import ConfigError
from agentd.recording.replay import open_recording, play
from tests.fixtures.make import recording_of

_BASES = ("losses-ring", "life")
_FIRST_STEP = 2
_MUTATION_BYTES_MAX = 512
"""Of an input; more would only take longer."""
_ITEMS_MAX = 1000
"""A list is doubled up to here."""
_STEPS_KEPT = 24
"""The beginning of a recording: a seed, rounds, scans."""


def replay_mutated(data: bytes) -> None:
    """Whatever stands in a recording is replayed, or refused with the name of the file."""
    program = _Program(data[:_MUTATION_BYTES_MAX])
    values = [*_base(_BASES[program.number() % len(_BASES)])]
    while program:
        _mutate(values, program)
    with tempfile.NamedTemporaryFile(suffix=".recording") as file:
        Path(file.name).write_bytes(b"".join(map(packed, values)))
        for form in ("json", "text"):
            _replay(Path(file.name), form)


def packed(value: Any) -> bytes:
    """A value of a recording, with its checksum."""
    inner = msgpack.packb(value)
    return bytes(msgpack.packb([zlib.crc32(inner), inner]))


def _replay(path: Path, form: str) -> None:
    out = io.BytesIO()
    try:
        recording = open_recording(path)
        try:
            play(recording, form, out.write)
        finally:
            recording.close()
    except ConfigError as error:
        text = str(error)
        assert str(path) in text
        assert all(line.isprintable() for line in text.splitlines())
        assert len(text) < 3_000
    if form == "json":
        _are_objects(out.getvalue())


def _are_objects(lines: bytes) -> None:
    import orjson

    for line in lines.splitlines():
        assert isinstance(orjson.loads(line), dict)


class _Program:
    """Bytes as numbers, one after another; 0 where there are none left."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)
        self._left = len(data)

    def __bool__(self) -> bool:
        return self._left > 0

    def number(self) -> int:
        """One byte."""
        self._left -= 1
        return next(self._data, 0)

    def large(self) -> int:
        """Two bytes."""
        return self.number() << 8 | self.number()


@cache
def _base(name: str) -> tuple[Any, ...]:
    """The first values of a recording: its form, its head, and steps; lists, not tuples."""
    whole = io.BytesIO(gzip.decompress(recording_of(name).read_bytes()))
    unpacker = msgpack.Unpacker(whole, max_buffer_size=1 << 30)
    values = [msgpack.unpackb(inner) for _, inner in unpacker]
    flush = [value for value in values[_FIRST_STEP:] if value[0] == "Flush"]
    return (*values[: _FIRST_STEP + _STEPS_KEPT], *flush[-1:])


def _mutate(values: list[Any], program: _Program) -> None:
    """One mutation: a step taken out, moved or doubled, or one value of one replaced."""
    steps = len(values) - _FIRST_STEP
    at = _FIRST_STEP + program.number() % steps
    what = program.number() % 16
    if what == 0 and steps > 1:
        del values[at]
    elif what == 1:
        values.insert(at, values[_FIRST_STEP + program.number() % steps])
    elif what == 2:
        values[1] = _replaced(values[1], program)
    elif what == 3 or not _is_step(values[at]):
        values[at] = _replaced(values[at], program)
    else:
        name, plain = values[at]
        values[at] = [name, _replaced(plain, program)]


def _is_step(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _replaced(value: Any, program: _Program) -> Any:
    """A copy with another value somewhere in it; a tree is walked by the program's numbers."""
    choice = program.number()
    if isinstance(value, dict) and value and choice % 16:
        name = sorted(value)[choice % len(value)]
        if choice % 16 == 1:
            return {**{k: v for k, v in value.items() if k != name}, _word(program): 1}
        return {**value, name: _replaced(value[name], program)}
    if isinstance(value, list) and value and choice % 16:
        at = program.large() % len(value)
        if choice % 16 == 1:
            return value[:at] + value[at + 1 :]
        return [*value[:at], _replaced(value[at], program), *value[at + 1 :]]
    if isinstance(value, bytes) and value and choice % 4:
        return _edited(value, program)
    return _odd(value, program)


def _edited(data: bytes, program: _Program) -> bytes:
    """Records with some bytes written over."""
    at = program.large() % len(data)
    new = bytes(program.number() for _ in range(1 + program.number() % 8))
    return data[:at] + new + data[at + len(new) :]


def _odd(value: Any, program: _Program) -> Any:
    """What one does not expect in the place of a value; three times of four, of its type."""
    of_any_type = program.number() % 4 == 0
    odd = [one for one in _odd_values(value) if of_any_type or type(one) is type(value)] or [value]
    return odd[program.number() % len(odd)]


def _word(program: _Program) -> str:
    words = ("cpus", "config", "x" * 300, "\x1b[2J", "", "first_seq", "filter")
    return words[program.number() % len(words)]


def _odd_values(value: Any) -> Iterator[Any]:
    yield from (0, -1, 1, 2, 1 << 16, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
    yield from (-(1 << 63), 0.5, float("nan"), float("inf"), None, True, False, "", b"", [], {})
    yield from ('","x":"', "\x1b[2J\n", "ü" * 5000, "/..", "\0", b"\xff" * 40, b"\0" * 5000)
    yield from (
        "f" * 32,
        "0" * 64,
        "(a+)+$",
        "uid = 1_0",
        [[]],
        [[0, 1 << 40]],
        [[-1, 5]],
        {"a": 1},
    )
    yield from (["(a+)+$", "x{1000}"], ['args ~ "(a|a)*$"'], msgpack.ExtType(7, b"x"), [value])
    if isinstance(value, int):
        near = (value + 1, value - 1, -value, value * 2, value // 2, value + 10**9, value - 10**9)
        yield from (one for one in near if -(1 << 63) <= one < 1 << 64)  # as msgpack has them
        yield from ((1 << 31) - 1, 4711)
    yield from ("cgroup", "user", "reserve", "lost_samples", "output.filter", "redact.patterns")
    if isinstance(value, list):
        yield from (value * 2 if len(value) < _ITEMS_MAX else value, value[::-1], value[:1])
