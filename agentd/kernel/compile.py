"""What to compile: the BPF source, its macros, and which variants of it to try.

The same source serves every kernel. What differs is given as macros: offsets out of BTF, or, on
a kernel without BTF whose headers are installed, as offsetof() for the compiler to work out.
Features are found by looking (BTF) or by trying (variants, best first), never by version.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentd.core.wire.header import parse_wire, static_assertions
from agentd.host.cgroup_filter import CgroupFilter
from agentd.kernel.bpf_helpers import OF_TYPED_READS, offers
from agentd.kernel.btf import Btf, BtfError, kernel_btf, kernel_headers

AUTO, RINGBUF, PERFBUF = "auto", "ringbuf", "perfbuf"
"""The values of ``transport.kind``."""

_MEMBERS = {
    "TASK_PID": ("task_struct", "pid"),
    "TASK_TGID": ("task_struct", "tgid"),
    "TASK_COMM": ("task_struct", "comm"),
    "TASK_CRED": ("task_struct", "cred"),
    "TASK_GROUP_LEADER": ("task_struct", "group_leader"),
    "TASK_REAL_PARENT": ("task_struct", "real_parent"),
    "TASK_START_BOOTTIME": ("task_struct", "start_boottime"),
    "TASK_SIGNAL": ("task_struct", "signal"),
    "TASK_MM": ("task_struct", "mm"),
    "TASK_EXIT_CODE": ("task_struct", "exit_code"),
    "TASK_UTIME": ("task_struct", "utime"),
    "TASK_STIME": ("task_struct", "stime"),
    "TASK_SUM_EXEC_RUNTIME": ("task_struct", "se.sum_exec_runtime"),
    "SIGNAL_LIVE": ("signal_struct", "live"),
    "SIGNAL_FLAGS": ("signal_struct", "flags"),
    "SIGNAL_GROUP_EXIT_CODE": ("signal_struct", "group_exit_code"),
    "SIGNAL_UTIME": ("signal_struct", "utime"),
    "SIGNAL_STIME": ("signal_struct", "stime"),
    "SIGNAL_SUM_SCHED_RUNTIME": ("signal_struct", "sum_sched_runtime"),
    "SIGNAL_MAXRSS": ("signal_struct", "maxrss"),
    "CRED_EUID": ("cred", "euid"),
    "CRED_EGID": ("cred", "egid"),
    "MM_ARG_START": ("mm_struct", "arg_start"),
    "MM_ARG_END": ("mm_struct", "arg_end"),
    "LINUX_BINPRM_FILENAME": ("linux_binprm", "filename"),
    "LINUX_BINPRM_ARGC": ("linux_binprm", "argc"),
    "LINUX_BINPRM_INTERP": ("linux_binprm", "interp"),
    "MM_EXE_FILE": ("mm_struct", "exe_file"),
    "FILE_PATH": ("file", "f_path"),
    "FILE_INODE": ("file", "f_inode"),
    "INODE_I_INO": ("inode", "i_ino"),
    "INODE_I_SB": ("inode", "i_sb"),
    "SUPER_BLOCK_S_DEV": ("super_block", "s_dev"),
    "PATH_DENTRY": ("path", "dentry"),
    "PATH_MNT": ("path", "mnt"),
    "DENTRY_D_PARENT": ("dentry", "d_parent"),
    "DENTRY_D_NAME_NAME": ("dentry", "d_name.name"),
    "DENTRY_D_HASH_PPREV": ("dentry", "d_hash.pprev"),
    "VFSMOUNT_MNT_ROOT": ("vfsmount", "mnt_root"),
    "TASK_FS": ("task_struct", "fs"),
    "FS_STRUCT_PWD": ("fs_struct", "pwd"),
    "CRED_UID": ("cred", "uid"),
    "CRED_GID": ("cred", "gid"),
    "CRED_CAP_EFFECTIVE": ("cred", "cap_effective"),
    "CRED_CAP_PERMITTED": ("cred", "cap_permitted"),
    "TASK_NSPROXY": ("task_struct", "nsproxy"),
    "NSPROXY_MNT_NS": ("nsproxy", "mnt_ns"),
    "TASK_THREAD_PID": ("task_struct", "thread_pid"),
    "PID_LEVEL": ("pid", "level"),
    "PID_NUMBERS": ("pid", "numbers"),
    "PID_NAMESPACE_INUM": ("pid_namespace", "ns.inum"),
    "SIGNAL_PIDS": ("signal_struct", "pids"),
    "SIGNAL_TTY": ("signal_struct", "tty"),
    "TTY_NAME": ("tty_struct", "name"),
    "TASK_CHILDREN": ("task_struct", "children"),
    "SIGNAL_NR_THREADS": ("signal_struct", "nr_threads"),
    "TASK_CGROUPS": ("task_struct", "cgroups"),
    "CSS_SET_DFL_CGRP": ("css_set", "dfl_cgrp"),
    "CGROUP_KN": ("cgroup", "kn"),
    "CGROUP_ROOT": ("cgroup", "root"),
    "CGROUP_ROOT_HIERARCHY_ID": ("cgroup_root", "hierarchy_id"),
    "KERNFS_NODE_ID": ("kernfs_node", "id"),
}
_FILTER_MEMBERS = {"CGROUP_LEVEL": ("cgroup", "level")}
OPTIONAL_MEMBERS = {
    "process.executable as a full path, and process.working_directory": {
        "MOUNT_MNT": ("mount", "mnt"),
        "MOUNT_MNT_PARENT": ("mount", "mnt_parent"),
        "MOUNT_MNT_MOUNTPOINT": ("mount", "mnt_mountpoint"),
    },
    "agentd.namespaces.mnt": {"MNT_NAMESPACE_INUM": ("mnt_namespace", "ns.inum")},
    "agentd.login_uid and agentd.audit_session": {
        "TASK_LOGINUID": ("task_struct", "loginuid"),
        "TASK_SESSIONID": ("task_struct", "sessionid"),
    },
    "agentd.read_bytes and agentd.written_bytes": {
        "TASK_IOAC": ("task_struct", "ioac"),
        "SIGNAL_IOAC": ("signal_struct", "ioac"),
        "IOAC_READ_BYTES": ("task_io_accounting", "read_bytes"),
        "IOAC_WRITE_BYTES": ("task_io_accounting", "write_bytes"),
    },
    "process.tty.char_device": {
        "TTY_DRIVER": ("tty_struct", "driver"),
        "TTY_INDEX": ("tty_struct", "index"),
        "TTY_DRIVER_MAJOR": ("tty_driver", "major"),
        "TTY_DRIVER_MINOR_START": ("tty_driver", "minor_start"),
    },
    "process.interactive": {
        "TASK_FILES": ("task_struct", "files"),
        "FILES_STRUCT_FDT": ("files_struct", "fdt"),
        "FDTABLE_FD": ("fdtable", "fd"),
        "FILE_PRIVATE_DATA": ("file", "private_data"),
        "TTY_FILE_PRIVATE_TTY": ("tty_file_private", "tty"),
        "TTY_FILE_PRIVATE_FILE": ("tty_file_private", "file"),
    },
    "the parent of an orphan at once, before /proc is looked at": {
        "SIGNAL_IS_CHILD_SUBREAPER": ("signal_struct", "is_child_subreaper"),
        "SIGNAL_HAS_CHILD_SUBREAPER": ("signal_struct", "has_child_subreaper"),
        "TASK_FLAGS": ("task_struct", "flags"),
        "PID_NAMESPACE_CHILD_REAPER": ("pid_namespace", "child_reaper"),
    },
}
"""Not in every kernel's build, or not in its headers: what needs them all, and is then left out."""
_BITS = ("SIGNAL_IS_CHILD_SUBREAPER", "SIGNAL_HAS_CHILD_SUBREAPER")
"""Bit fields: of these a mask is given, too."""
_ANCESTORS = ("cgroup", "ancestors")
"""Pointers, since kernel 6.1; before, ``ancestor_ids`` held the ids themselves."""
_ANCESTOR_IDS = ("cgroup", "ancestor_ids")

_KERNEL_INCLUDES = ("linux/sched/signal.h", "linux/binfmts.h", "linux/cred.h", "linux/cgroup.h")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the programs are built for."""

    cpus: int
    """Possible CPUs, not only those online."""
    page_bytes: int
    cgroup: CgroupFilter | None
    transport: str
    """``auto``, ``ringbuf`` or ``perfbuf``; what is chosen stands in the handover."""
    ring_bytes: int
    perf_bytes_per_cpu: int
    first_seq: int = 0
    """The first attempt's number on each CPU: no two programs of a boot use one twice."""


@dataclass(frozen=True, slots=True)
class Source:
    """One variant, ready for BCC."""

    text: str
    cflags: tuple[str, ...]
    kernel_source: Path | None
    """The headers to compile against; None for those of the running kernel."""


_COMPILER_FLAGS = ("-Wno-macro-redefined", "-Xclang", "-disable-llvm-passes", "-g0")
"""BCC optimises what clang has made, so clang itself need not, and nothing reads debug information.

That is a third less to compile, and a third less for the verifier to follow in an exec.
"""


def variants(bpf_dir: Path, settings: Settings) -> list[Source]:
    """The sources to try, best first, for a transport that has been chosen.

    Raises BtfError where neither BTF nor headers are there.
    """
    text = (bpf_dir / "agentd.bpf.c").read_text()
    wire = parse_wire((bpf_dir / "agentd.h").read_text())
    text += static_assertions(wire)
    common = [f"-I{bpf_dir}", *_COMPILER_FLAGS, *_settings_flags(settings)]
    try:
        flags, kernel_source = _btf_flags(kernel_btf(), settings), bpf_dir / "headers"
    except BtfError:
        if not kernel_headers().is_dir():
            raise
        return _header_variants(text, common, settings)
    return [
        Source(text, (*common, *flags, *helpers), kernel_source)
        for helpers in (*_typed_flags(), *_helper_flags(settings))
    ]


def _typed_flags() -> list[list[str]]:
    """What is best where the kernel offers the helper (5.11). To try takes a compilation."""
    try:
        there = offers(OF_TYPED_READS["get_current_task_btf"])
    except OSError:
        there = False
    return [["-DHAVE_ATOMIC_FETCH", "-DHAVE_TASK_BTF"]] if there else []


def _helper_flags(settings: Settings) -> list[list[str]]:
    """What the verifier may know, best first: atomic fetches (5.12), the boot time (5.8)."""
    choices = [["-DHAVE_ATOMIC_FETCH"], []]
    if settings.transport == PERFBUF:  # a kernel with the ring buffer knows the boot time
        ahead_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
        choices.append([f"-DBOOTTIME_SINCE_MONOTONIC_NS={ahead_ns}ULL"])
    return choices


def _settings_flags(settings: Settings) -> list[str]:
    flags = [
        f"-DAGENTD_CPUS={settings.cpus}",
        "-DAGENTD_PERFBUF"
        if settings.transport == PERFBUF
        else f"-DAGENTD_RING_PAGES={settings.ring_bytes // settings.page_bytes}",
        f"-DAGENTD_PAGE_SIZE={settings.page_bytes}UL",
    ]
    if settings.cgroup:
        flags.append(f"-DFILTER_CGROUP_ID={settings.cgroup.cgroup_id}ULL")
        flags.append(f"-DFILTER_CGROUP_LEVEL={settings.cgroup.level}")
    return flags


def _btf_flags(btf: Btf, settings: Settings) -> list[str]:
    members = dict(_MEMBERS)
    flags = []
    if settings.cgroup:
        members |= _FILTER_MEMBERS
        has_pointers = btf.has_member(*_ANCESTORS)
        members["CGROUP_ANCESTORS"] = _ANCESTORS if has_pointers else _ANCESTOR_IDS
        flags += [] if has_pointers else ["-DCGROUP_ANCESTOR_IDS"]
    if btf.tracepoint_args("sched_process_exit") > 1:
        flags.append("-DHAVE_GROUP_DEAD")
    for group in OPTIONAL_MEMBERS.values():
        members |= {} if lacking(btf, group) else group
    for name, member in members.items():
        offset, mask = btf.bit(*member) if name in _BITS else (btf.offset(*member), 0)
        flags.append(f"-DOFF_{name}={offset}")
        flags += [f"-DMASK_{name}={mask}"] if mask else []
    return flags


def lacking(btf: Btf, group: Mapping[str, tuple[str, str]]) -> list[str]:
    """Those of the members that this kernel does not have, as ``struct.member``."""
    return [".".join(member) for member in group.values() if not btf.has_member(*member)]


def _header_variants(text: str, common: list[str], settings: Settings) -> list[Source]:
    """Against kernel headers: what cannot be looked up beforehand is tried."""
    members = dict(_MEMBERS) | (_FILTER_MEMBERS if settings.cgroup else {})
    offsets = [_offsetof(name, member) for name, member in members.items()]
    includes = "".join(f"#include <{name}>\n" for name in _KERNEL_INCLUDES)
    cgroup_flags = [
        [_offsetof("CGROUP_ANCESTORS", _ANCESTORS)],
        [_offsetof("CGROUP_ANCESTORS", _ANCESTOR_IDS), "-DCGROUP_ANCESTOR_IDS"],
    ]
    return [
        Source(includes + text, (*common, *offsets, *cgroup, *helpers), None)
        for cgroup in (cgroup_flags if settings.cgroup else [[]])
        for helpers in _helper_flags(settings)
    ]


def _offsetof(name: str, member: tuple[str, str]) -> str:
    struct, path = member
    return f"-DOFF_{name}=__builtin_offsetof(struct {struct},{path})"
