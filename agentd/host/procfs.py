"""/proc to processes: what ran before agentd did.

Processes vanish while they are being read: ENOENT and ESRCH say that one is gone, and nothing else
does. What is there and cannot be read makes the look at /proc incomplete.

A process chooses how long some of these files are, and how long a read of them takes: each read has
a bound, and only a helper (``agentd.helpers``) looks at processes other than itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agentd.core.text import as_text
from agentd.core.tree.proc_compare import Observed
from agentd.core.tree.process import Image, Key, Process
from agentd.host.clock import TICK_NS, boottime_ns

_STAT_STATE = 0
_STAT_PPID = 1
_STAT_PGRP = 2
_STAT_SESSION = 3
_STAT_NUM_THREADS = 17
_STAT_STARTTIME = 19
"""Indexes among the fields after the name, proc(5) fields 3 to 6, 20 and 22."""

_DEAD_STATES = (b"Z", b"X")

_GONE = (FileNotFoundError, ProcessLookupError)
_DELETED = b" (deleted)"
"""What the kernel puts behind the path of a file that has no name any more (fs/d_path.c)."""
ARGS_BYTES_MAX = 16384
"""As much as an exec record may hold (``AGENTD_ARGS_MAX``); of what is behind it is only known that
there is more."""
_PID_MAX, _ID_MAX = (1 << 31) - 1, (1 << 32) - 1
_TICKS_MAX = ((1 << 63) - 1) // TICK_NS
_NAME_BYTES_MAX = 64
"""A kernel thread's may be so long (fs/proc/array.c, proc_task_name)."""
_STAT_BYTES_MAX = 4096
_STATUS_BYTES_MAX = 4096
"""The ids come before up to 65,536 groups."""
_PATH_BYTES_MAX = 4095
_CGROUP_BYTES_MAX = 1 << 16
"""A line for each hierarchy, each with a path shorter than PATH_MAX; that of cgroup v2 is last."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/PID/stat says. ``start_ns``: ns of CLOCK_BOOTTIME, to a tick."""

    name: bytes
    parent_tgid: int
    process_group: int
    session: int
    start_ns: int
    is_dead: bool
    """A zombie without another thread that lives."""
    leader_left: bool = False
    """Its first thread is a zombie, others run on."""


class Look:
    """A look at all of /proc: the processes that live, each as it is at the moment of its turn.

    ``cgroup``: what is in it, or below, counts as inside; everything if empty. The arguments of
    what is outside are nobody's business. ``is_stuck``: whether a process is known to keep
    its readers waiting. Of that one only the files are read that it cannot hold up.
    """

    def __init__(
        self, proc: str = "/proc", cgroup: str = "", is_stuck: Callable[[Key], bool] | None = None
    ) -> None:
        self.complete = True
        """Whether all that live have been seen, once it is over: not so where some are hidden."""
        self.failure = ""
        """What kept it from seeing something that it may see; another look may do better."""
        self._proc = proc
        self._cgroup = f"/{cgroup.strip('/')}/" if cgroup else ""
        self._is_stuck = is_stuck
        self._stats: dict[int, Stat | None] = {}

    def __iter__(self) -> Iterator[Observed]:
        for tgid in self.tgids():
            observed = self.observe(tgid)
            if observed is not None:
                yield observed
        self.end()

    def tgids(self) -> list[int]:
        """Those that are there now, in ascending order."""
        try:
            return sorted(int(name) for name in os.listdir(self._proc) if name.isdigit())
        except OSError as error:
            self._fail(error)
            return []

    def observe(self, tgid: int) -> Observed | None:
        """One process; None where it is gone, dead, or cannot be read."""
        try:
            seen_ns = boottime_ns()
            stat = self._stats[tgid] = _stat(self._proc, tgid)
            if stat is None or stat.is_dead:
                return None
            return self._seen(tgid, stat, seen_ns)
        except OSError as error:
            self._fail(error)
        except ValueError as error:
            self._fail(ValueError(f"{self._proc}/{tgid}: {error}"))
        return None

    def end(self) -> None:
        """Find out whether some were hidden: init, which is root's, can be read unless they are."""
        try:
            if _stat(self._proc, 1) is None:
                self.complete = False
        except (OSError, ValueError) as error:
            self._fail(error)

    def _seen(self, tgid: int, stat: Stat, seen_ns: int) -> Observed:
        folder = _folder(f"{self._proc}/{tgid}", tgid, stat)
        path = _cgroup(folder)
        inside = f"{path}/".startswith(self._cgroup)
        uid, gid = _owner(folder)
        executable, args, args_count, inode, device = b"", b"", 0, 0, 0
        if self._is_stuck is None or not self._is_stuck((tgid, stat.start_ns)):
            executable, inode, device = _file(folder)
            if inside:
                args, args_count = _arguments(folder)
        process = Process(
            key=(tgid, stat.start_ns),
            parent=(stat.parent_tgid, self._start_ns(stat.parent_tgid)),
            image=Image(stat.name, executable, args, args_count),
            executed=True,
            coarse=True,
            inside=inside,
            verified_ns=seen_ns,
            process_group=stat.process_group,
            session=stat.session,
            uid=uid,
            seen_cgroup=path,
        )
        return Observed(process, uid, gid, inode, device)

    def _start_ns(self, parent: int) -> int:
        """When a parent started; 0 where it is gone, or hidden."""
        if parent not in self._stats:
            try:
                self._stats[parent] = _stat(self._proc, parent)
            except PermissionError:
                return 0
        stat = self._stats[parent]
        return 0 if stat is None else stat.start_ns

    def _fail(self, error: OSError | ValueError) -> None:
        """Hidden processes (proc(5), hidepid) are no failure: they will be so the next time."""
        self.complete = False
        if not isinstance(error, PermissionError):
            self.failure = self.failure or str(error)


def scan(proc: str = "/proc", cgroup: str = "") -> list[Process]:
    """All processes that live now, their start good to ``TICK_NS``, parents by the same keys."""
    return [observed.process for observed in Look(proc, cgroup)]


def parse_stat(text: bytes) -> Stat:
    """/proc/PID/stat as text.

    The name may hold anything, parentheses and newlines too, and ends at the last ')'.
    Raises ValueError on text that is not such a line.
    """
    opening, closing = text.find(b"("), text.rfind(b")")
    rest = text[closing + 1 :].split()
    name_bytes = closing - opening - 1
    if opening < 0 or not 0 <= name_bytes <= _NAME_BYTES_MAX or len(rest) <= _STAT_STARTTIME:
        raise ValueError("not a line of /proc/PID/stat")
    dead, alone = rest[_STAT_STATE] in _DEAD_STATES, int(rest[_STAT_NUM_THREADS]) <= 1
    return Stat(
        name=text[opening + 1 : closing],
        parent_tgid=_number(rest[_STAT_PPID], _PID_MAX),
        # -1 of one that is just being reaped (fs/proc/array.c, do_task_stat)
        process_group=max(0, int(rest[_STAT_PGRP])),
        session=max(0, int(rest[_STAT_SESSION])),
        start_ns=_number(rest[_STAT_STARTTIME], _TICKS_MAX) * TICK_NS,
        is_dead=dead and alone,
        leader_left=dead and not alone,
    )


def _number(text: bytes, most: int) -> int:
    """Raises ValueError if it is none, or one that the kernel has not."""
    number = int(text)
    if not 0 <= number <= most:
        raise ValueError("a number in /proc is out of its range")
    return number


def _stat(proc: str, tgid: int) -> Stat | None:
    """None where there is no such process."""
    text = _read(f"{proc}/{tgid}/stat", _STAT_BYTES_MAX)
    return parse_stat(text) if text else None


def _folder(own: str, tgid: int, stat: Stat) -> str:
    """Where to look at a process: a first thread that has left has no memory, and so no file."""
    if not stat.leader_left:
        return own
    try:
        others = [name for name in os.listdir(f"{own}/task") if int(name) != tgid]
    except _GONE:
        others = []
    return f"{own}/task/{others[0]}" if others else own


def _owner(folder: str) -> tuple[int, int]:
    """Effective uid and gid; root's for what is gone."""
    words: dict[bytes, list[bytes]] = {}
    for line in _read(f"{folder}/status", _STATUS_BYTES_MAX).splitlines():
        name, _, value = line.partition(b":")
        words[name] = value.split()
    uid, gid = (words.get(name, [b"0", b"0"]) for name in (b"Uid", b"Gid"))
    if len(uid) < 2 or len(gid) < 2:
        raise ValueError(f"{folder}/status names no user")
    return _number(uid[1], _ID_MAX), _number(gid[1], _ID_MAX)


def _cgroup(folder: str) -> str:
    """Its path below the cgroup v2 mount; empty where it has gone, or there is none.

    Anybody with a cgroup of his own may make one whose path is longer than PATH_MAX. Of that the
    kernel shows the beginning, or says that it is too long (proc_cgroup_show).
    """
    try:
        text = _read(f"{folder}/cgroup", _CGROUP_BYTES_MAX)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return ""
    for line in text.split(b"\n"):  # the one character that no name has
        if line.startswith(b"0::"):
            return as_text(line[3 : 3 + _PATH_BYTES_MAX])
    return ""


def _arguments(folder: str) -> tuple[bytes, int]:
    """As many as an exec record may hold, and how many there are: one more at least if cut."""
    text = _read(f"{folder}/cmdline", ARGS_BYTES_MAX + 1)
    args = text[:ARGS_BYTES_MAX]
    return args, args.count(b"\0") + (len(text) > ARGS_BYTES_MAX)


def _file(folder: str) -> tuple[bytes, int, int]:
    """Path, inode number and device (``super_block.s_dev``) of what it runs.

    Empty and 0 for kernel threads, and for what is gone or not ours to see.
    """
    link = os.fsencode(f"{folder}/exe")
    path = b""
    try:
        path = os.readlink(link)
        found = os.stat(link)
    except (*_GONE, PermissionError):
        return path, 0, 0
    if path.endswith(_DELETED) and not _is_so_named(folder, path, found):
        path = path.removesuffix(_DELETED)
    return path, found.st_ino, os.major(found.st_dev) << 20 | os.minor(found.st_dev)


def _is_so_named(folder: str, path: bytes, found: os.stat_result) -> bool:
    """Whether the mark of the deleted is a part of the file's own name."""
    if not found.st_nlink:
        return False
    try:
        there = os.stat(os.fsencode(f"{folder}/root") + path)
    except (*_GONE, PermissionError):
        return False
    return os.path.samestat(there, found)


def _read(path: str, bytes_max: int) -> bytes:
    """The file's content, no more than that of it; empty when the process is gone.

    Raises OSError if it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except _GONE:
        return b""
    try:
        text = b""
        while len(text) < bytes_max and (part := os.read(fd, bytes_max - len(text))):
            text += part
        return text
    except _GONE:
        return b""
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)
