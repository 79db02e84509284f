"""Raw records and events, made from the wire contract."""

from __future__ import annotations

from typing import Any

from agentd.core.loss.stages import STAGE_RESERVE
from agentd.core.loss.tracker import KernelCounters, causes
from agentd.core.pipeline import Limits
from agentd.core.tree.tree import TreeLimits
from agentd.core.wire.delivery import Delivery
from agentd.core.wire.events import Exec, Exit, Fork, Lost
from agentd.core.wire.exec_context import Place
from agentd.core.wire.header import Wire, parse_wire
from agentd.paths import bpf_dir

WIRE: Wire = parse_wire((bpf_dir() / "agentd.h").read_text())
FORK = WIRE.constant("AGENTD_FORK")
EXEC = WIRE.constant("AGENTD_EXEC")
EXIT = WIRE.constant("AGENTD_EXIT")
LATE = WIRE.constant("AGENTD_LATE")
FORCED = WIRE.constant("AGENTD_FORCED")
CPUS = 4
CAUSES = causes(3, STAGE_RESERVE)
"""The rows of failures: first those of the three kinds that found no room."""

TICK_NS = 10_000_000


def tree_limits(**fields: int) -> TreeLimits:
    """Bounds of a tree; what is not given is generous."""
    ample = {"live_capacity": 1000, "exited_capacity": 1000, "ancestor_capacity": 1000}
    return TreeLimits(**(ample | {"exited_age_ns": 1 << 60, "text_bytes": 1 << 30} | fields))


def limits(reorder_capacity: int = 1000, slack_ns: int = 0, **tree: int) -> Limits:
    """Bounds of a pipeline, likewise."""
    return Limits(reorder_capacity, slack_ns, tree_limits(**tree))


_DEFAULTS: dict[str, Any] = {
    "boottime_ns": 1000,
    "seq": 0,
    "cpu": 0,
    "flags": 0,
    "tgid": 100,
    "parent_tgid": 1,
    "start_boottime_ns": 900,
    "parent_start_boottime_ns": 5,
    "uid": 0,
    "gid": 0,
    "comm": b"name".ljust(16, b"\0"),
}


def fork(**fields: Any) -> Fork:
    """A fork event; what is not given has a default."""
    size = WIRE.layout("agentd_fork").size
    creator = {"creator_start_boottime_ns": 0, "creator_tgid": 0, "reserved": 0}
    return Fork(**(_DEFAULTS | {"kind": FORK, "record_bytes": size} | creator | fields))


_PLACE = Place(
    real_uid=0,
    real_gid=0,
    caps_effective=0,
    caps_permitted=0,
    login_uid=WIRE.constant("AGENTD_UNSET"),
    audit_session=WIRE.constant("AGENTD_UNSET"),
    mnt_ns=4026531841,
    pid_ns=4026531836,
    cgroup_id=1,
    exe_inode=0,
    exe_device=0,
    tty_device=0,
    tty=bytes(16),
)


def place(**fields: Any) -> bytes:
    """The bytes of a place; what is not given has a default."""
    return WIRE.layout("agentd_place").compile().pack(*_PLACE._replace(**fields))


def names_of(path: bytes) -> bytes:
    """A path as it stands in a record: from its end up to the root."""
    return b"".join(name + b"\0" for name in reversed(path.split(b"/")) if name)


def execed(
    filename: bytes = b"/bin/x",
    args: bytes = b"x\0",
    path: bytes | None = None,
    cwd: bytes = b"/",
    **fields: Any,
) -> Exec:
    """An exec event with its text; the lengths follow from it."""
    path = filename if path is None else path
    filename_bytes = len(filename) + 1 if filename else 0
    texts_bytes = len(names_of(path)) + len(names_of(cwd)) + len(args)
    size = WIRE.layout("agentd_exec").size + filename_bytes + texts_bytes
    texts = {
        "process_group": 100,
        "session": 100,
        "ns_tgid": 100,
        "reserved": 0,
        "place": place(),
        "filename": filename,
        "path": path,
        "cwd": cwd,
        "args": args,
        "filename_bytes": filename_bytes,
        "path_bytes": len(names_of(path)),
        "cwd_bytes": len(names_of(cwd)),
        "args_bytes": len(args),
        "args_total_bytes": len(args),
        "args_count": args.count(b"\0"),
    }
    return Exec(**(_DEFAULTS | {"kind": EXEC, "record_bytes": size} | texts | fields))


def exited(**fields: Any) -> Exit:
    """An exit event; what is not given has a default."""
    size = WIRE.layout("agentd_exit").size
    ending = {"exit_code": 0, "utime_ns": 0, "stime_ns": 0, "runtime_ns": 0, "max_rss_pages": 1}
    ending |= {"read_bytes": 0, "written_bytes": 0}
    ending |= {"adopter_start_boottime_ns": 0, "adopter_tgid": 0, "reserved": 0}
    return Exit(**(_DEFAULTS | {"kind": EXIT, "record_bytes": size} | ending | fields))


def lost(until_ns: int, count: int = 1, from_ns: int = 0) -> Lost:
    """A loss on CPU 0, for want of room."""
    return Lost(until_ns, 1, 0, count, STAGE_RESERVE, None, from_ns)


def record(event: Fork | Exec | Exit) -> bytes:
    """The bytes that the kernel would have written for an event."""
    if isinstance(event, Exec):
        fixed = WIRE.layout("agentd_exec").compile().pack(*event[:-4])
        filename = event.filename + b"\0" if event.filename_bytes else b""
        return fixed + filename + names_of(event.path) + names_of(event.cwd) + event.args
    name = "agentd_fork" if isinstance(event, Fork) else "agentd_exit"
    return WIRE.layout(name).compile().pack(*event)


def delivery(events: list[Fork | Exec | Exit], *, drained: bool = True) -> Delivery:
    """One drain that brought these events."""
    data = b""
    spans = []
    for event in events:
        raw = record(event)
        spans.append((len(data), len(raw)))
        data += raw
    return Delivery(data, spans, drained)


def counters(
    attempts: dict[tuple[int, int], int], failures: dict[tuple[int, int], int] | None = None
) -> KernelCounters:
    """Counters of ``CPUS`` CPUs, given by (kind, cpu), failures by (row, cpu)."""
    failures = failures or {}
    zero = (0,) * CPUS

    def table(values: dict[tuple[int, int], int], rows: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(values.get((row, cpu), 0) for cpu in range(CPUS)) for row in range(rows))

    rows = table(attempts, 3)
    seq = tuple(sum(row[cpu] for row in rows) for cpu in range(CPUS))
    return KernelCounters(table(failures, len(CAUSES)), seq, rows, (zero,) * 3, zero)
