"""Where and as whom a process runs, and out of which file: what many execs have in common.

An exec carries it as bytes, which are compared and used as a key as they are; looked into only
when somebody wants to know.
"""

from __future__ import annotations

from typing import NamedTuple

from agentd.core.wire.header import Wire, WireError


class Place(NamedTuple):
    """``struct agentd_place``."""

    real_uid: int
    real_gid: int
    caps_effective: int
    caps_permitted: int
    login_uid: int
    audit_session: int
    mnt_ns: int
    pid_ns: int
    cgroup_id: int
    exe_inode: int
    exe_device: int
    tty_device: int
    tty: bytes


class PlaceReader:
    """Reads places of one wire contract. Raises WireError if its struct is another."""

    def __init__(self, wire: Wire) -> None:
        layout = wire.layout("agentd_place")
        if layout.names != Place._fields:
            raise WireError(f"struct agentd_place has {layout.names}, not {Place._fields}")
        self._struct = layout.compile()

    def read(self, place: bytes) -> Place:
        """The members. Raises struct.error if the length is another."""
        return Place(*self._struct.unpack(place))
