"""Reads the wire contract, ``bpf/agentd.h``, and gives its layouts as ``struct`` formats.

The header is the only definition of the records; nothing here repeats an offset. The few
forms it may use are stated at its top, and anything else is an error rather than a guess.
``static_assertions`` turns what was understood back into C, so that the compiler which builds
the BPF programs confirms every size and offset.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_SCALARS = {"__u32": ("I", 4), "__u64": ("Q", 8)}

_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_DEFINE = re.compile(r"^#define\s+(\w+)\s+(\d+)\s*$", re.M)
_STRUCT = re.compile(r"struct\s+(\w+)\s*\{(.*?)\};", re.S)
_MEMBER = re.compile(r"^(struct\s+\w+|\w+)\s+(\w+)(?:\[(\w+)\])?$")


class WireError(Exception):
    """The header holds something that this reader does not understand, or lacks something."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a struct: its offset and size in bytes and its ``struct`` code."""

    name: str
    offset: int
    size: int
    code: str


@dataclass(frozen=True, slots=True)
class Layout:
    """One C struct: its members in order, those of the struct that it continues first."""

    name: str
    members: tuple[Member, ...]
    own: tuple[Member, ...]
    """The members as C sees them, a nested struct being one: what can be asserted."""

    @property
    def size(self) -> int:
        """Size of the struct in bytes."""
        return sum(member.size for member in self.members)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the members in wire order."""
        return tuple(member.name for member in self.members)

    @property
    def format(self) -> str:
        """Format of the whole struct for ``struct``, in the byte order of this machine."""
        return "=" + "".join(member.code for member in self.members)

    def compile(self) -> struct.Struct:
        """The struct as a compiled ``struct.Struct`` that gives one value a member."""
        return struct.Struct(self.format)


@dataclass(frozen=True, slots=True)
class Wire:
    """The whole contract: numbers by macro name and layouts by struct name."""

    constants: dict[str, int]
    layouts: dict[str, Layout]

    def layout(self, name: str) -> Layout:
        """The struct of that name. Raises WireError if the header has none."""
        try:
            return self.layouts[name]
        except KeyError:
            raise WireError(f"the wire header defines no struct {name}") from None

    def constant(self, name: str) -> int:
        """The number behind that macro. Raises WireError if the header has none."""
        try:
            return self.constants[name]
        except KeyError:
            raise WireError(f"the wire header defines no number {name}") from None


def parse_wire(text: str) -> Wire:
    """Parse the text of ``bpf/agentd.h``. Raises WireError on any form it does not know."""
    text = _COMMENT.sub("", text)
    constants = {name: int(value) for name, value in _DEFINE.findall(text)}
    layouts: dict[str, Layout] = {}
    for name, body in _STRUCT.findall(text):
        layouts[name] = _parse_struct(name, body, constants, layouts)
    return Wire(constants, layouts)


def _parse_struct(
    name: str, body: str, constants: dict[str, int], layouts: dict[str, Layout]
) -> Layout:
    own: list[Member] = []
    flat: list[Member] = []
    offset = 0
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        match = _MEMBER.match(declaration)
        if match is None:
            raise WireError(f"struct {name}: cannot read the member {declaration!r}")
        kind, member_name, count = match.groups()
        if kind.startswith("struct"):
            inner = layouts.get(kind.split()[1])
            if inner is None or count or offset % 8:
                raise WireError(f"struct {name}: {kind} must be known, and stand at an 8th byte")
            continued = offset == 0
            opaque = Member(member_name, offset, inner.size, "" if continued else f"{inner.size}s")
            own.append(opaque)
            flat.extend(inner.members if continued else [opaque])
            offset += inner.size
            continue
        members = _expand(name, kind, member_name, _count(count, constants), offset)
        own.extend(members[:1])
        flat.extend(members)
        offset = members[-1].offset + members[-1].size
    if not flat or offset % 8:
        raise WireError(f"struct {name}: {offset} bytes is not a multiple of 8")
    return Layout(name, tuple(flat), tuple(own))


def _count(text: str | None, constants: dict[str, int]) -> int | None:
    if text is None:
        return None
    return int(text) if text.isdigit() else constants.get(text, 0)


def _expand(struct_name: str, kind: str, name: str, count: int | None, offset: int) -> list[Member]:
    """One declaration as members: text stays whole, an array of numbers is one member each."""
    if kind == "char" and count:
        return [Member(name, offset, count, f"{count}s")]
    if kind not in _SCALARS or count == 0:
        raise WireError(f"struct {struct_name}: cannot read the type of {name!r}")
    code, size = _SCALARS[kind]
    if offset % size:
        raise WireError(f"struct {struct_name}: {name} at {offset} would need padding before it")
    if count is None:
        return [Member(name, offset, size, code)]
    return [Member(f"{name}_{i}", offset + i * size, size, code) for i in range(count)]


def static_assertions(wire: Wire) -> str:
    """C source that fails to compile unless the compiler lays everything out as ``wire`` says."""
    lines = []
    for layout in wire.layouts.values():
        lines.append(_assertion(f"sizeof(struct {layout.name})", layout.size))
        for member in layout.own:
            name = re.sub(r"_0$", "", member.name) if member.code else member.name
            lines.append(
                _assertion(f"__builtin_offsetof(struct {layout.name}, {name})", member.offset)
            )
    return "\n".join(lines) + "\n"


def _assertion(expression: str, value: int) -> str:
    return f'_Static_assert({expression} == {value}, "agentd.h and its reader disagree");'
