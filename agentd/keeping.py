"""What outlives a daemon: the programs, their buffers, and how far the stream was handed on.

The service manager keeps the file descriptors (FileDescriptorStoreMax= in systemd.service(5)) and
gives them to the next process, after a restart, a crash or an upgrade. The programs go on
writing meanwhile. How far the stream was handed on stands in memory that both processes share
(a memfd), written before room is given back to the kernel, so a kill at any moment loses nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from agentd import host
from agentd.core import snapshot
from agentd.core.accounting import Progress
from agentd.core.pipeline import Pipeline
from agentd.core.tree import Tree
from agentd.core.unwritten import Unwritten
from agentd.kernel.attach import Attached
from agentd.kernel.handover import LINKS, Handover, decode_settings, encode_settings
from agentd.kernel.kept import KeptPrograms
from agentd.kernel.program import Settings
from agentd.ledger import Ledger, turn_of
from agentd.numerals import whole
from agentd.past import Past, read_past, write_past
from agentd.paths import bpf_dir
from agentd.service import Service

_EVENTS, _COUNTERS, _CGROUPS = _MAPS = "events", "counters", "cgroups"
_LINK, _PROGRAM, _PERF = "link", "program", "perf"
_ABOUT, PAST, _PROGRESS = "about", "past", "progress"
_FORMAT = "agentd-kept-7"


def fingerprint(settings: Settings) -> str:
    """What programs must have in common to be the same: their source, their settings, the boot."""
    same = json.dumps(asdict(replace(settings, first_seq=0)))
    digest = hashlib.sha256(f"{_FORMAT} {host.boot_id()} {same}".encode())
    for path in sorted(bpf_dir().rglob("*.[ch]")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Former:
    """Programs of another kind that still run, and how far their stream was handed on."""

    attached: Attached
    progress_fd: int
    names: tuple[str, ...]
    """What they are kept as."""
    wire_text: str
    """The contract of their records and counters (``bpf/agentd.h`` of their version)."""


class Sinks(Protocol):
    """What is needed of the outputs."""

    def leave(self) -> dict[str, Unwritten]:
        """None writes any more; what each had still to write."""

    def take_over(self, left: Mapping[str, Unwritten], wall_offset_ns: int) -> None:
        """Begin with what others had still to write."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a process before us left, beside programs that we go on with."""

    past: Past | None
    """Its tree, and what its outputs had not taken, as of its planned end."""
    former: Former | None
    """Its programs, if they are of another kind than ours."""


def left_by(
    kept: KeptPrograms | Former | None, past_fd: int | None, forget: Callable[[Iterable[str]], None]
) -> Left:
    """What goes with the programs that were taken; what does not is forgotten."""
    past = None
    if past_fd is not None:
        past = read_past(past_fd, -1 if kept is None else turn_of(kept.progress_fd))
        if past is None:
            forget([PAST])
    return Left(past, kept if isinstance(kept, Former) else None)


class Keeper:
    """Hands to the service manager what a next process needs, and takes what the last one left."""

    def __init__(
        self,
        service: Service,
        attached: Attached,
        left: Left,
        log: Any,
        *,
        resumed: bool,
    ) -> None:
        self._log, self._service = log, service
        self.begins = service.keeps and not resumed
        """Whether our programs are to be kept, and are not yet."""
        self._resumed = resumed
        self._attached = attached
        self._past = left.past
        self._former = left.former

    @property
    def position(self) -> Progress | None:
        """How far the last one came, if it ended as planned."""
        return None if self._past is None else self._past.progress

    def keep(self, ledger: Ledger) -> None:
        """From now on a next process can go on where this one stops: as the ledger says, or as it
        is told by ``leave``.
        """
        self.begins = False
        about_fd = _about_fd(self._attached)
        if not self._service.keep(_names_and_fds(self._attached, about_fd, ledger)):
            self._log.warning("not kept", reason="the service manager does not listen")
        os.close(about_fd)
        if self._former is not None:
            self._service.forget(self._former.names)

    def remember(self, tree: Tree) -> int:
        """Bring the last one's past back into a tree that has just been seeded; how many."""
        past, self._past = self._past, None
        if past is None:
            return 0
        self._service.forget([PAST])
        return snapshot.restore(tree, past.tree)

    def go_on(self, sinks: Sinks, go_on_from: Callable[[Progress], None]) -> None:
        """Have what the last one's outputs had not taken written before all else.

        ``go_on_from`` hears how far it came, where its stream goes on.
        """
        if self._past is None:
            return
        sinks.take_over(self._past.unwritten, host.wall_offset_ns())
        if self._resumed:
            go_on_from(self._past.progress)

    def leave(self, pipeline: Pipeline, ledger: Ledger, sinks: Sinks) -> None:
        """Have the state of this moment kept, when nothing happens any more."""
        if not self._service.keeps:
            return
        position = pipeline.position(host.boottime_ns())
        past = Past(ledger.turn, position, snapshot.take(pipeline.tree), sinks.leave())
        fd = write_past(past)
        self._service.keep([(PAST, fd)])
        os.close(fd)


def _about_fd(attached: Attached) -> int:
    """What is to be known of programs, in memory."""
    handover = attached.handover
    about = {
        "fingerprint": fingerprint(attached.settings),
        "wire": _wire_text(),
        "settings": encode_settings(attached.settings).decode(),
        "transport": handover.transport,
        "transport_reason": handover.transport_reason,
        "bcc_version": handover.bcc_version,
        "from_btf": handover.from_btf,
    }
    fd = os.memfd_create("agentd-about")
    text = json.dumps(about).encode()
    os.write(fd, b"%08x\n%b" % (zlib.crc32(text), text))
    return fd


def _names_and_fds(attached: Attached, about_fd: int, ledger: Ledger) -> list[tuple[str, int]]:
    """What is to be kept. The name says, behind an @, of which set of programs it is: where the
    numbers of its attempts begin.
    """
    handover = attached.handover
    links = [(f"{_LINK}-{index}", fd) for index, fd in enumerate(handover.link_fds)]
    programs = [(f"{_PROGRAM}-{index}", fd) for index, fd in enumerate(handover.program_fds)]
    perf = [(f"{_PERF}-{index}", fd) for index, fd in enumerate(handover.perf_fds)]
    maps = (handover.events_fd, handover.counters_fd, handover.cgroups_fd)
    kept = [(_ABOUT, about_fd), (_PROGRESS, ledger.fd)]
    kept += [*zip(_MAPS, maps, strict=True), *links, *programs, *perf]
    return [(f"{name}@{attached.settings.first_seq}", fd) for name, fd in kept]


def take(
    fds: Mapping[str, int], settings: Settings, forget: Callable[[Iterable[str]], None]
) -> KeptPrograms | Former | None:
    """The newest whole set of what was kept, by name; the rest is closed and forgotten."""
    found: KeptPrograms | Former | None = None
    for number in sorted({_number(name) for name in fds}, reverse=True):
        named = {name: fd for name, fd in fds.items() if _number(name) == number}
        if found is None:
            found = _taken(named, settings)
            if found is not None:
                continue
        forget(named)
        for fd in named.values():
            os.close(fd)
    return found


def _taken(named: Mapping[str, int], settings: Settings) -> KeptPrograms | Former | None:
    fds = {name.partition("@")[0]: fd for name, fd in named.items()}
    about = _about(fds)
    links = _numbered(fds, _LINK)
    whole = {*_MAPS, _PROGRESS} <= fds.keys() and len(links) == len(LINKS)
    if not whole or "wire" not in about:
        return None
    os.close(fds[_ABOUT])
    mark, wire = about.pop("fingerprint"), about.pop("wire")
    theirs = decode_settings(about.pop("settings").encode())
    programs, perf = tuple(_numbered(fds, _PROGRAM)), tuple(_numbered(fds, _PERF))
    maps = (fds[_EVENTS], fds[_COUNTERS], fds[_CGROUPS])
    handover = Handover(*maps, tuple(links), programs, perf, **about)
    attached = Attached(handover, theirs, log="")
    if mark == fingerprint(settings):
        return KeptPrograms(attached, fds[_PROGRESS])
    return Former(attached, fds[_PROGRESS], tuple(named), wire)


def _wire_text() -> str:
    return (bpf_dir() / "agentd.h").read_text()


def _number(name: str) -> int:
    number = name.partition("@")[2]
    return whole(number) or 0


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
        checksum, _, text = os.pread(fd, 1 << 16, 0).partition(b"\n")
    except OSError:
        return {}
    found = json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else {}
    return found if isinstance(found, dict) else {}
