"""Entries of every kind that the core makes, with any bytes in every field.

The kinds are read off the core's own types, so that none can be forgotten.
"""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from agentd.core.loss import stages
from agentd.core.names import Names
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Doubt, Image, Leaders, Unknown
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import NO_CPU, Event, Exec, Exit, Fork, Lost
from tests.records import EXEC, EXIT, FORCED, FORK, LATE, WIRE, execed, exited, fork, place

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
times_ns = st.integers(0, 2**62)
rss_pages = st.integers(0, 2**50)
"""More than any memory has; in bytes they fit into a JSON reader's 64 bits."""
numbers = st.integers(1, 2**22)
cpus = st.integers(0, 3)
keys = st.tuples(numbers, times_ns)
_BITS = [
    WIRE.constant(f"AGENTD_{name}")
    for name in ("SCRIPT", "UNLINKED", "MEMFD", "ARGS_TRUNCATED", "PATH_TRUNCATED")
]
flags = st.sampled_from([0, LATE, FORCED, LATE | FORCED, *_BITS])

foreign = st.one_of(
    st.binary(max_size=24),
    st.sampled_from([b"", b"\xff", b"\xc3", b"a\nb\x1b[2J", "é\u2028\u202e".encode(), b"'\"\\"]),
)
"""Any bytes."""
no_nul = foreign.map(lambda value: value.replace(b"\0", b""))
texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=12),
    no_nul.map(lambda value: value.decode("utf-8", "surrogateescape")),
)
"""Text as careless code makes it, with lone surrogates."""
arguments = st.lists(no_nul, max_size=4).map(lambda args: b"".join(arg + b"\0" for arg in args))

images = st.builds(
    Image,
    name=no_nul,
    executable=no_nul,
    args=arguments,
    args_count=st.integers(0, 5),
    notes=st.integers(0, 7),
)
doubts = st.builds(
    Doubt,
    process=st.booleans(),
    parent=st.booleans(),
    parent_unknown=st.sampled_from(
        [value for name, value in vars(Unknown).items() if name.isupper()]
    ),
    undecided=st.sampled_from(["", "output.filter", "journal.filter"]),
)
leaders = st.builds(
    Leaders,
    process_group=keys,
    session=keys,
    entry=st.none() | keys,
    entry_kind=st.sampled_from(["ssh", "systemd"]),
)
places = st.builds(
    place,
    real_uid=u32, real_gid=u32, caps_effective=u64, caps_permitted=u64, login_uid=u32,
    audit_session=u32, mnt_ns=u32, pid_ns=u32, cgroup_id=u64, exe_inode=u64, exe_device=u32,
    tty_device=u32, tty=st.binary(max_size=16).map(lambda value: value.ljust(16, b"\0")),
)  # fmt: skip
common = {
    "boottime_ns": times_ns, "seq": st.integers(0, 2**62), "cpu": cpus, "flags": flags,
    "tgid": numbers, "parent_tgid": st.integers(0, 2**22), "start_boottime_ns": times_ns,
    "parent_start_boottime_ns": times_ns, "uid": u32, "gid": u32,
    "comm": foreign.map(lambda value: value[:16].ljust(16, b"\0")),
}  # fmt: skip
EVENTS: dict[type[Any], st.SearchStrategy[Event]] = {
    Fork: st.builds(
        fork, **common, creator_start_boottime_ns=times_ns, creator_tgid=st.integers(0, 9)
    ),
    Exec: st.builds(
        execed, **common, filename=no_nul, args=arguments, path=no_nul, cwd=no_nul, place=places
    ),
    Exit: st.builds(
        exited, **common, exit_code=u32, utime_ns=times_ns, stime_ns=times_ns, runtime_ns=times_ns,
        max_rss_pages=rss_pages, read_bytes=u64, written_bytes=u64,
    ),
}  # fmt: skip
STAGES = [value for name, value in vars(stages).items() if name.startswith("STAGE_")]
kinds = st.sampled_from([FORK, EXEC, EXIT])


def _applied(event: Event, *, changed: bool, **fields: Any) -> Applied:
    """Only an exec can change what a process runs."""
    return Applied(event, changed=changed and isinstance(event, Exec), **fields)


ENTRIES: dict[type[Any], st.SearchStrategy[Entry]] = {
    Applied: st.builds(
        _applied,
        event=st.one_of(*(EVENTS[kind] for kind in get_args(Event))),
        image=images,
        parent_image=st.none() | images,
        changed=st.booleans(),
        doubt=st.none() | doubts,
        leaders=st.none() | leaders,
    ),
    Lost: st.builds(
        Lost,
        boottime_ns=times_ns,
        seq=st.integers(0, 2**62),
        cpu=st.just(NO_CPU) | cpus,
        missing=numbers,
        stage=st.sampled_from(STAGES),
        kind=st.none() | kinds,
        from_boottime_ns=times_ns,
    ),
    Inferred: st.builds(
        Inferred,
        boottime_ns=times_ns,
        kind=kinds,
        key=keys,
        parent=keys,
        image=images,
        parent_image=st.none() | images,
        user=st.none() | st.tuples(u32, u32),
        doubt=st.none() | doubts,
        evidence=st.sampled_from(["file", "path", "arguments"]),
        before=st.none() | images,
    ),
}
entries: st.SearchStrategy[Entry] = st.one_of(*(ENTRIES[kind] for kind in get_args(Entry)))
"""Any entry; KeyError for a kind that nobody has described here."""

names = st.builds(
    lambda cgroup, user, group: Names(lambda _: cgroup, lambda _: user, lambda _: group),
    cgroup=st.none() | texts.map(lambda text: f"/{text}") | st.just("/a.slice/b\udcff.service"),
    user=st.none() | texts,
    group=st.none() | texts,
)
"""What numbers are called, by a host whose names are any text."""
