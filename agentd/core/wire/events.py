"""The events: what the kernel reported, decoded, as immutable tuples.

The fields stand in wire order under their wire names (``bpf/agentd.h``), so that a record
becomes an event without a line of copying; ``decode`` refuses to start if they ever differ.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from agentd.core.wire.header import Wire


class Fork(NamedTuple):
    """A new process (``sched_process_fork``), before it runs. ``struct agentd_fork``.

    ``creator_tgid`` is 0 where the parent made it, which is so but for CLONE_PARENT.
    """

    boottime_ns: int
    seq: int
    cpu: int
    kind: int
    flags: int
    record_bytes: int
    tgid: int
    parent_tgid: int
    start_boottime_ns: int
    parent_start_boottime_ns: int
    uid: int
    gid: int
    comm: bytes
    creator_start_boottime_ns: int
    creator_tgid: int
    reserved: int


class Exec(NamedTuple):
    """A process that has another image now (``sched_process_exec``). ``struct agentd_exec``."""

    boottime_ns: int
    seq: int
    cpu: int
    kind: int
    flags: int
    record_bytes: int
    tgid: int
    parent_tgid: int
    start_boottime_ns: int
    parent_start_boottime_ns: int
    uid: int
    gid: int
    comm: bytes
    filename_bytes: int
    path_bytes: int
    cwd_bytes: int
    args_bytes: int
    args_total_bytes: int
    args_count: int
    process_group: int
    session: int
    ns_tgid: int
    reserved: int
    place: bytes
    """Where and as whom it runs, ``core.wire.exec_context`` looks into it."""
    filename: bytes
    """As given to execve(2), without its NUL; empty when it could not be had."""
    path: bytes
    """Of the running file, in its mount namespace; empty when it could not be had. Where the flags
    say that it is cut, its first names and the slash before them are missing."""
    cwd: bytes
    """The working directory, likewise."""
    args: bytes
    """Arguments, each ended by a NUL, ``args_bytes`` of ``args_total_bytes``."""


class Exit(NamedTuple):
    """The end of a process with its last thread (``sched_process_exit``). ``struct agentd_exit``.

    ``exit_code`` is raw, as wait(2) returns it; ``runtime_ns`` is exact up to the last context
    switch, ``utime_ns`` and ``stime_ns`` are sampled by clock ticks. The adopter gets its children;
    it is (0, 0) where it has none, or where they die with it; ``SOMEBODY`` where it was not found.
    """

    boottime_ns: int
    seq: int
    cpu: int
    kind: int
    flags: int
    record_bytes: int
    tgid: int
    parent_tgid: int
    start_boottime_ns: int
    parent_start_boottime_ns: int
    uid: int
    gid: int
    comm: bytes
    exit_code: int
    utime_ns: int
    stime_ns: int
    runtime_ns: int
    max_rss_pages: int
    read_bytes: int
    written_bytes: int
    adopter_start_boottime_ns: int
    adopter_tgid: int
    reserved: int


# Where fields stand, for those who look into every event: compiled, a name costs ten times as much.
BOOTTIME_NS: Final = 0
SEQ: Final = 1
CPU: Final = 2
KIND: Final = 3
FLAGS: Final = 4
RECORD_BYTES: Final = 5
TGID: Final = 6
PARENT_TGID: Final = 7
START_BOOTTIME_NS: Final = 8
PARENT_START_BOOTTIME_NS: Final = 9
UID: Final = 10
GID: Final = 11
COMM: Final = 12
# of a fork
CREATOR_START_BOOTTIME_NS: Final = 13
CREATOR_TGID: Final = 14
# of an exit
EXIT_CODE: Final = 13
UTIME_NS: Final = 14
STIME_NS: Final = 15
ADOPTER_START_BOOTTIME_NS: Final = 20
ADOPTER_TGID: Final = 21
# of an exec
FILENAME_BYTES: Final = 13
PATH_BYTES: Final = 14
CWD_BYTES: Final = 15
ARGS_BYTES: Final = 16
ARGS_COUNT: Final = 18
PROCESS_GROUP: Final = 19
SESSION: Final = 20
NS_TGID: Final = 21
PLACE: Final = 23
FILENAME: Final = 24
PATH: Final = 25
CWD: Final = 26
ARGS: Final = 27

NO_CPU = -1


class Lost(NamedTuple):
    """``missing`` events of one CPU that were not reported, between two moments.

    ``cpu`` is ``NO_CPU`` where it is not known which one it was; ``seq`` then counts what was lost
    so before, of that stage and kind, from the first number of the programs on.

    The first three fields place it in the order of events: just before the first event of that
    CPU after the gap, or at the end of the round when none has come yet.
    """

    boottime_ns: int
    seq: int
    cpu: int
    missing: int
    stage: str
    kind: int | None
    from_boottime_ns: int

    @property
    def to_boottime_ns(self) -> int:
        """The moment by which the loss was over: the place of this event."""
        return self.boottime_ns


Event: TypeAlias = Fork | Exec | Exit
"""What a record decodes to."""

by_order = itemgetter(0, 2, 1)
"""Sort key of an event: (boottime_ns, cpu, seq)."""


def kind_names(wire: Wire) -> tuple[str, ...]:
    """The names that users read, by kind: ``fork``, ``exec`` and ``exit`` in wire order."""
    names = ("fork", "exec", "exit")
    return tuple(sorted(names, key=lambda name: wire.constant(f"AGENTD_{name.upper()}")))
