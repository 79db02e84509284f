"""Processes as /proc showed them, as plain values and back: for files and other processes."""

from __future__ import annotations

from typing import Any

from agentd.core.tree.proc_compare import Observed
from agentd.core.tree.process import Image, Process

_SEEN = ("coarse", "inside", "verified_ns", "process_group", "session", "uid", "seen_cgroup")
"""What /proc says of a process, beside its key, its parent and its image."""
_NAME_BYTES_MAX = 64
_PATH_BYTES_MAX = 4096
_ARGS_BYTES_MAX = 16384
_ID_MAX = (1 << 32) - 1
_PID_MAX = (1 << 31) - 1
_TIME_MAX_NS = (1 << 63) - 1


def plain_process(process: Process) -> list[Any]:
    """Numbers, bytes and lists."""
    seen = (getattr(process, name) for name in _SEEN)
    return [process.key, process.parent, tuple(process.image), *seen]


def plain_observed(observed: Observed) -> list[Any]:
    """Numbers, bytes and lists."""
    process, *seen = observed
    return [plain_process(process), *seen]


def checked_observed(plain: Any, notes_max: int = 0) -> Observed:
    """The observation that such values were made of, whoever made them. Raises ValueError.

    ``notes_max``: the largest ``Notes`` that it may have.
    """
    process, uid, gid, inode, device = _fields(plain, 5)
    for number in (uid, gid, device):
        _number(number, _ID_MAX)
    _number(inode, (1 << 64) - 1)
    return Observed(checked_process(process, notes_max), uid, gid, inode, device)


def checked_process(plain: Any, notes_max: int = 0) -> Process:
    """Likewise a process."""
    key, parent, image, coarse, inside, verified_ns, group, session, owner, path = _fields(
        plain, 3 + len(_SEEN)
    )
    name, executable, args, args_count, place, notes = _fields(image, 6)
    for pid, start_ns in (_fields(key, 2), _fields(parent, 2)):
        _number(pid, _PID_MAX)
        _number(start_ns, _TIME_MAX_NS)
    _number(owner, _ID_MAX)
    _number(notes, notes_max)
    for number in (group, session, args_count):
        _number(number, _PID_MAX)
    _number(verified_ns, _TIME_MAX_NS)
    for text, bytes_max in (
        (name, _NAME_BYTES_MAX), (executable, _PATH_BYTES_MAX), (args, _ARGS_BYTES_MAX), (place, 0),
    ):  # fmt: skip
        if not isinstance(text, bytes) or len(text) > bytes_max:
            raise ValueError("a text of a process that is none")
    if not isinstance(path, str) or len(path) > _PATH_BYTES_MAX:
        raise ValueError("a path of a process that is none")
    if not isinstance(coarse, bool) or not isinstance(inside, bool):
        raise ValueError("a flag of a process that is none")
    facts = dict(zip(_SEEN, plain[3:], strict=True))
    return Process(tuple(key), tuple(parent), Image(*image), executed=True, **facts)


def _fields(plain: Any, count: int) -> Any:
    if not isinstance(plain, list | tuple) or len(plain) != count:
        raise ValueError("not a process")
    return plain


def _number(value: Any, most: int) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("a number of a process that is none")
