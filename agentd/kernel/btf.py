"""Offsets of kernel structs, out of the running kernel's own BTF, through libbpf.

The type graph is walked as include/uapi/linux/btf.h lays it out: struct btf_type followed by
its members. Only struct, union and what may stand in front of them is understood.
"""

from __future__ import annotations

import ctypes as ct
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from agentd.errors import UnavailableError
from agentd.requirements import libraries
from agentd.requirements.host import check_sys

_KIND_STRUCT = 4
_KIND_TYPEDEF = 8
_TRANSPARENT_KINDS = (8, 9, 10, 11)  # typedef, volatile, const, restrict


def kernel_headers() -> Path:
    """Where the headers of the running kernel would be."""
    return Path("/lib/modules", os.uname().release, "build")


class BtfError(UnavailableError):
    """The layout of the kernel's structs cannot be had from BTF. Its headers may do instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        headers = f"install the headers of this kernel in {kernel_headers()}"
        super().__init__(
            message, hint or f"use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or {headers}"
        )


class _Type(ct.Structure):
    """struct btf_type"""

    _fields_ = (("name_off", ct.c_uint32), ("info", ct.c_uint32), ("size_or_type", ct.c_uint32))

    @property
    def kind(self) -> int:
        return int(self.info >> 24) & 0x1F

    @property
    def vlen(self) -> int:
        return int(self.info) & 0xFFFF

    @property
    def has_bitfields(self) -> bool:
        return bool(self.info >> 31)


class _Member(ct.Structure):
    """struct btf_member"""

    _fields_ = (("name_off", ct.c_uint32), ("type", ct.c_uint32), ("offset", ct.c_uint32))


@functools.cache
def libbpf() -> ct.CDLL:
    """The library. Raises BtfError if it cannot be used."""
    try:
        lib = libraries.libbpf()
    except UnavailableError as error:
        raise BtfError(error.message, error.hint) from None
    lib.btf__load_vmlinux_btf.restype = ct.c_void_p
    lib.btf__find_by_name_kind.argtypes = [ct.c_void_p, ct.c_char_p, ct.c_uint32]
    lib.btf__type_by_id.argtypes = [ct.c_void_p, ct.c_uint32]
    lib.btf__type_by_id.restype = ct.c_void_p
    lib.btf__name_by_offset.argtypes = [ct.c_void_p, ct.c_uint32]
    lib.btf__name_by_offset.restype = ct.c_char_p
    return lib


class Btf:
    """The BTF of the running kernel. Raises BtfError when there is none."""

    def __init__(self) -> None:
        self._lib = libbpf()
        self._btf = self._lib.btf__load_vmlinux_btf()
        if not self._btf:
            _check_sys()
            raise BtfError("the kernel offers no BTF (/sys/kernel/btf/vmlinux)")

    def offset(self, struct: str, path: str) -> int:
        """Offset in bytes of ``path`` (members joined by dots) in ``struct``.

        Anonymous structs and unions on the way are looked into. Raises BtfError if there is no
        such member, or it does not begin with a byte.
        """
        bits = self._bit_offset(struct, path)
        if bits % 8:
            raise BtfError(f"the kernel's {struct}.{path} is a bit field")
        return bits // 8

    def bit(self, struct: str, path: str) -> tuple[int, int]:
        """A bit field of one bit: the offset of its byte, and its mask in that byte.

        Raises BtfError if there is no such member.
        """
        byte, bit = divmod(self._bit_offset(struct, path), 8)
        return byte, 1 << bit if sys.byteorder == "little" else 0x80 >> bit

    def has_member(self, struct: str, path: str) -> bool:
        """Whether this kernel's ``struct`` has that member."""
        try:
            self._bit_offset(struct, path)
        except BtfError:
            return False
        return True

    def _bit_offset(self, struct: str, path: str) -> int:
        type_id = self._find(struct, _KIND_STRUCT)
        total_bits = 0
        for name in path.split("."):
            found = self._member(type_id, name)
            if found is None:
                raise BtfError(f"the kernel's struct {struct} has no member {path}")
            bits, type_id = found
            total_bits += bits
        return total_bits

    def tracepoint_args(self, name: str) -> int:
        """How many arguments a raw tracepoint passes to a program.

        From the prototype behind ``btf_trace_<name>`` (include/trace/bpf_probe.h), whose first
        parameter is the tracepoint's private data. Raises BtfError if there is no such
        tracepoint.
        """
        typedef = self._type(self._find(f"btf_trace_{name}", _KIND_TYPEDEF))
        pointer = self._type(typedef.size_or_type)
        return self._type(pointer.size_or_type).vlen - 1

    def _find(self, name: str, kind: int) -> int:
        type_id = int(self._lib.btf__find_by_name_kind(self._btf, name.encode(), kind))
        if type_id <= 0:
            raise BtfError(f"the kernel's BTF has no {name}")
        return type_id

    def _address(self, type_id: int) -> int:
        return int(self._lib.btf__type_by_id(self._btf, type_id))

    def _type(self, type_id: int) -> _Type:
        return _Type.from_address(self._address(type_id))

    def _members(self, type_id: int) -> Iterator[tuple[str, int, int]]:
        """Name, type id and offset in bits of each member."""
        while self._type(type_id).kind in _TRANSPARENT_KINDS:
            type_id = self._type(type_id).size_or_type
        head = self._type(type_id)
        members = (_Member * head.vlen).from_address(self._address(type_id) + ct.sizeof(_Type))
        for member in members:
            name = self._lib.btf__name_by_offset(self._btf, member.name_off).decode()
            offset = member.offset & 0xFFFFFF if head.has_bitfields else member.offset
            yield name, member.type, offset

    def _member(self, type_id: int, name: str) -> tuple[int, int] | None:
        for member_name, member_type, offset in self._members(type_id):
            if member_name == name:
                return offset, member_type
            if not member_name:
                inner = self._member(member_type, name)
                if inner is not None:
                    return offset + inner[0], inner[1]
        return None


def _check_sys() -> None:
    try:
        check_sys()
    except UnavailableError as error:
        raise BtfError(error.message, error.hint) from None


@functools.cache
def kernel_btf() -> Btf:
    """That of this kernel, read once. Raises BtfError if there is none."""
    return Btf()
