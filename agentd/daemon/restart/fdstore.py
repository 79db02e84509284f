"""What is given to the service manager's file-descriptor store, by name, and what is found there.

A name says, behind an @, of which set of programs it is: where the numbers of its attempts begin.
A set whose descriptors are not all what their names say, or about which nothing can be read, is
refused as a whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from agentd.daemon.restart.resumed import ForeignError, KeptPrograms, check_kept
from agentd.host import system
from agentd.kernel.compile import Settings
from agentd.kernel.loader_client import Attached
from agentd.kernel.loader_protocol import LINKS, Handover, decode_settings, encode_settings
from agentd.paths import bpf_dir
from agentd.runtime import checksummed
from agentd.terminal.numerals import whole

_EVENTS, _COUNTERS, _CGROUPS = _MAPS = "events", "counters", "cgroups"
_LINK, _PROGRAM, _PERF = "link", "program", "perf"
_ABOUT, _PROGRESS = "about", "progress"
PAST = "past"
"""What a planned end leaves; it is of no set."""
_FORMAT = "agentd-kept-8"


@dataclass(frozen=True, slots=True)
class Former:
    """Programs of another kind that still run, and how far their stream was handed on."""

    attached: Attached
    progress_fd: int
    names: tuple[str, ...]
    """What they are kept as."""
    wire_text: str
    """The contract of their records and counters (``bpf/agentd.h`` of their version)."""

    @property
    def first_seq(self) -> int:
        """Where the numbers of their attempts begin."""
        return self.attached.settings.first_seq


def fingerprint(settings: Settings) -> str:
    """What programs must have in common to be the same: their source, their settings, the boot."""
    same = json.dumps(asdict(replace(settings, first_seq=0)))
    digest = hashlib.sha256(f"{_FORMAT} {system.boot_id()} {same}".encode())
    for path in sorted(bpf_dir().rglob("*.[ch]")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def about_fd(attached: Attached) -> int:
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
    return checksummed.write("agentd-about", [json.dumps(about).encode()])


def names_and_fds(attached: Attached, about: int, progress: int) -> list[tuple[str, int]]:
    """What is to be kept of programs."""
    handover = attached.handover
    links = [(f"{_LINK}-{index}", fd) for index, fd in enumerate(handover.link_fds)]
    programs = [(f"{_PROGRAM}-{index}", fd) for index, fd in enumerate(handover.program_fds)]
    perf = [(f"{_PERF}-{index}", fd) for index, fd in enumerate(handover.perf_fds)]
    maps = (handover.events_fd, handover.counters_fd, handover.cgroups_fd)
    kept = [(_ABOUT, about), (_PROGRESS, progress)]
    kept += [*zip(_MAPS, maps, strict=True), *links, *programs, *perf]
    return [(f"{name}@{attached.settings.first_seq}", fd) for name, fd in kept]


def take(
    fds: Mapping[str, int],
    settings: Settings,
    forget: Callable[[Iterable[str]], None],
    refuse: Callable[[str], None],
) -> KeptPrograms | Former | None:
    """The newest whole set of what was kept, by name; the rest is closed and forgotten.

    ``refuse`` hears why one cannot be used.
    """
    found: KeptPrograms | Former | None = None
    for number in sorted({_number(name) for name in fds}, reverse=True):
        named = {name: fd for name, fd in fds.items() if _number(name) == number}
        if found is None:
            try:
                found = _taken(named, settings)
                continue
            except ForeignError as error:
                refuse(str(error))
        forget(named)
        for fd in named.values():
            os.close(fd)
    return found


def _taken(named: Mapping[str, int], settings: Settings) -> KeptPrograms | Former:
    """Raises ForeignError; then nothing was closed."""
    fds = {name.partition("@")[0]: fd for name, fd in named.items()}
    links = _numbered(fds, _LINK)
    missing = [name for name in (*_MAPS, _PROGRESS, _ABOUT) if name not in fds]
    if missing or len(links) != len(LINKS):
        raise ForeignError(f"{', '.join(missing) or 'a link'} is missing")
    about = _about(fds[_ABOUT])
    maps = (fds[_EVENTS], fds[_COUNTERS], fds[_CGROUPS])
    programs, perf = tuple(_numbered(fds, _PROGRAM)), tuple(_numbered(fds, _PERF))
    try:
        mark, wire = about.pop("fingerprint"), about.pop("wire")
        theirs = decode_settings(about.pop("settings").encode())
        handover = Handover(*maps, tuple(links), programs, perf, **about)
        attached = Attached(handover, theirs, log="")
        check_kept(attached, fds[_PROGRESS], wire)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, MemoryError):
        raise ForeignError("about says something else than this version writes") from None
    os.close(fds[_ABOUT])
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


def _about(fd: int) -> dict[str, Any]:
    """Raises ForeignError."""
    try:
        with checksummed.read(os.dup(fd)) as file:
            found = json.loads(file.read())
    except (checksummed.DamagedError, ValueError, RecursionError) as error:
        raise ForeignError(f"about {error}") from None
    if not isinstance(found, dict):
        raise ForeignError("about is no object")
    return found
