"""What outlives a daemon: the programs, their buffers, and how far the stream was handed on.

The service manager keeps the file descriptors (FileDescriptorStoreMax= in systemd.service(5)) and
gives them to the next process, after a restart, a crash or an upgrade. The programs go on
writing meanwhile. How far the stream was handed on stands in memory that both processes share
(a memfd), written before room is given back to the kernel, so a kill at any moment loses nothing.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agentd import host
from agentd.core import snapshot
from agentd.core.accounting import Progress
from agentd.core.tree import Tree
from agentd.kernel.attach import Attached
from agentd.kernel.handover import TRACEPOINTS, Handover
from agentd.kernel.kept import KeptPrograms
from agentd.kernel.program import Settings
from agentd.paths import bpf_dir
from agentd.service import Service

_EVENTS, _COUNTERS, _LINK, _PERF = "events", "counters", "link", "perf"
_ABOUT, PAST, _PROGRESS = "about", "past", "progress"
_FORMAT = "agentd-kept-2"
_UNTOLD_ROWS = 2


def fingerprint(settings: Settings) -> str:
    """What programs must have in common to be the same: their source, their settings, the boot."""
    digest = hashlib.sha256(f"{_FORMAT} {host.boot_id()} {json.dumps(asdict(settings))}".encode())
    for path in sorted(bpf_dir().rglob("*.[ch]")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Ledger:
    """How far the stream was handed on, in shared memory.

    Two places are written in turn, and then the number that says which one holds: whoever dies
    between the two leaves the place before. One row each for the next numbers and each cause.
    """

    def __init__(self, fd: int, cpus: int, causes: int) -> None:
        self.fd = fd
        self._cpus = cpus
        self._words_each = 2 + cpus * (1 + causes + _UNTOLD_ROWS)
        self._no_untold = ((0,) * cpus,) * _UNTOLD_ROWS
        size_bytes = 8 * (1 + 2 * self._words_each)
        if os.fstat(fd).st_size < size_bytes:
            os.ftruncate(fd, size_bytes)
        self._map = mmap.mmap(fd, size_bytes)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def fresh(cls, cpus: int, causes: int) -> Ledger:
        """An empty one."""
        return cls(os.memfd_create("agentd-progress"), cpus, causes)

    def write(self, progress: Progress) -> None:
        """Replace what stands there."""
        turn = self._words[0] + 1
        values = [progress.at_ns, progress.watermark_ns, *progress.next_seq]
        for row in progress.settled + (progress.untold or self._no_untold):
            values += row
        start = 1 + turn % 2 * self._words_each
        for index, value in enumerate(values, start):
            self._words[index] = value
        self._words[0] = turn

    def read(self) -> Progress | None:
        """What was written last; None if nothing was."""
        turn = self._words[0]
        if not turn:
            return None
        start = 1 + turn % 2 * self._words_each
        at_ns, watermark_ns, *values = self._words[start : start + self._words_each].tolist()
        rows = [tuple(values[i : i + self._cpus]) for i in range(0, len(values), self._cpus)]
        settled, untold = rows[1:-_UNTOLD_ROWS], rows[-_UNTOLD_ROWS:]
        return Progress(rows[0], tuple(settled), at_ns, watermark_ns, tuple(untold))

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._map.close()
        os.close(self.fd)


class Keeper:
    """Hands to the service manager what a next process needs, and takes what the last one left."""

    def __init__(
        self, service: Service, attached: Attached, past_fd: int | None, *, resumed: bool
    ) -> None:
        self._resumed = resumed
        self._service = service
        self._attached = attached
        self._past_fd = past_fd

    def keep(self, ledger: Ledger) -> None:
        """From now on a next process can go on where this one stops."""
        if self._resumed or not self._service.keeps:
            return
        kept = _names_and_fds(self._attached, fingerprint(self._attached.settings), ledger)
        self._service.keep(kept)
        os.close(dict(kept)[_ABOUT])

    def remember(self, tree: Tree) -> int:
        """Bring the last one's past back into a tree that has just been seeded; how many."""
        if self._past_fd is None:
            return 0
        plain = _unpacked(self._past_fd)
        self._service.forget([PAST])
        return snapshot.restore(tree, plain)

    def leave(self, tree: Tree) -> None:
        """The tree, in shared memory."""
        if not self._service.keeps:
            return
        import msgpack  # noqa: PLC0415 (memory)

        fd = os.memfd_create("agentd-past")
        with open(fd, "wb") as file:
            file.write(msgpack.packb(snapshot.take(tree)))
            file.flush()
            self._service.keep([(PAST, fd)])


def _unpacked(fd: int) -> Any:
    """None if who wrote it was ended meanwhile."""
    import msgpack  # noqa: PLC0415 (memory)

    limits = dict.fromkeys(("max_buffer_size", "max_bin_len", "max_array_len"), 1 << 30)
    with open(fd, "rb") as file:
        file.seek(0)
        try:
            return next(msgpack.Unpacker(file, use_list=False, **limits), None)
        except (ValueError, msgpack.UnpackException):
            return None


def _names_and_fds(attached: Attached, mark: str, ledger: Ledger) -> list[tuple[str, int]]:
    """What is to be kept; the one named ``about`` is made for it."""
    handover = attached.handover
    about = {
        "fingerprint": mark,
        "transport": handover.transport,
        "transport_reason": handover.transport_reason,
        "bcc_version": handover.bcc_version,
        "from_btf": handover.from_btf,
    }
    about_fd = os.memfd_create("agentd-about")
    os.write(about_fd, json.dumps(about).encode())
    links = [(f"{_LINK}-{index}", fd) for index, fd in enumerate(handover.link_fds)]
    perf = [(f"{_PERF}-{index}", fd) for index, fd in enumerate(handover.perf_fds)]
    maps = [(_EVENTS, handover.events_fd), (_COUNTERS, handover.counters_fd)]
    return [(_ABOUT, about_fd), (_PROGRESS, ledger.fd), *maps, *links, *perf]


def take(fds: Mapping[str, int], settings: Settings) -> KeptPrograms | None:
    """What was kept, by name, if all of it is there and of these programs; all closed if not."""
    about = _about(fds)
    links = _numbered(fds, _LINK)
    whole = {_EVENTS, _COUNTERS, _PROGRESS} <= fds.keys() and len(links) == len(TRACEPOINTS)
    if about.pop("fingerprint", None) != fingerprint(settings) or not whole:
        for fd in fds.values():
            os.close(fd)
        return None
    os.close(fds[_ABOUT])
    handover = Handover(
        fds[_EVENTS], fds[_COUNTERS], tuple(links), tuple(_numbered(fds, _PERF)), **about
    )
    return KeptPrograms(Attached(handover, settings, log=""), fds[_PROGRESS])


def _numbered(fds: Mapping[str, int], name: str) -> list[int]:
    found: list[int] = []
    while (fd := fds.get(f"{name}-{len(found)}")) is not None:
        found.append(fd)
    return found


def _about(fds: Mapping[str, int]) -> dict[str, Any]:
    fd = fds.get(_ABOUT)
    if fd is None:
        return {}
    try:
        about = json.loads(os.pread(fd, 1 << 16, 0))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
