"""Reading all of /proc, without keeping the rounds from their work, and without privilege.

Which file another user's process runs can be seen only with CAP_SYS_PTRACE. A daemon that has
given up everything asks a helper that has that one capability, and lives as long as its answer
takes: the service manager starts it for each connection to a socket (``agentd scan``).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from agentd import procfs
from agentd.core.sight import Observed
from agentd.observations import plain_observed, read_observed

SLICE_SECONDS = 0.002
"""How long a slice may keep the loop from anything else, one process more or less."""
_PART_PROCESSES = 256
"""In one message; a whole one is the slice in which the daemon reads it."""
_HELPER_SECONDS = 60.0
_REQUEST_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found."""

    processes: list[Observed]
    complete: bool
    """Nothing was hidden from it: who is not there is gone."""
    failure: str = ""
    """Why it did not see all that it may; another scan may do better."""


class Scanner:
    """Scans by itself, or has the helper behind a socket do it."""

    def __init__(self, cgroup: str, socket: str, log: Any) -> None:
        self._cgroup = cgroup
        self._socket = socket
        self._log = log

    async def scan(self) -> Scanned:
        """All processes that live. Without its helper it sees less, and says so in the log."""
        if self._socket:
            try:
                async with asyncio.timeout(_HELPER_SECONDS):
                    return await _ask(self._socket, self._cgroup)
            except (OSError, ValueError, TimeoutError) as error:
                self._log.warning(
                    "no answer from the scan socket",
                    socket=self._socket,
                    error=str(error) or type(error).__name__,
                    consequence="files that other users' processes run are not verified",
                )
        return await scan_in_slices(self._cgroup)


async def scan_in_slices(cgroup: str, proc: str = "/proc") -> Scanned:
    """All processes that live, as procfs.Look gives them; the loop runs between the slices."""
    found: list[Observed] = []
    look = procfs.Look(proc, cgroup)
    slice_end = time.monotonic() + SLICE_SECONDS
    for observed in look:
        found.append(observed)
        if time.monotonic() > slice_end:
            await asyncio.sleep(0)
            slice_end = time.monotonic() + SLICE_SECONDS
    return Scanned(found, look.complete, look.failure)


def answer(request: BinaryIO, write: Callable[[bytes], object]) -> None:
    """The helper: one request in, what it sees out, part by part.

    Raises ValueError for a request that is none.
    """
    import msgpack  # noqa: PLC0415 (memory)

    cgroup = json.loads(request.readline(_REQUEST_BYTES_MAX))["cgroup"]
    part: list[Any] = []
    look = procfs.Look(cgroup=cgroup)
    for observed in look:
        part.append(plain_observed(observed))
        if len(part) == _PART_PROCESSES:
            write(msgpack.packb(part))
            part = []
    write(msgpack.packb(part))
    write(msgpack.packb({"complete": look.complete, "failure": look.failure}))


async def _ask(path: str, cgroup: str) -> Scanned:
    """Raises OSError if nobody answers, ValueError if the answer is not whole."""
    import msgpack  # noqa: PLC0415 (memory)

    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(json.dumps({"cgroup": cgroup}).encode() + b"\n")
        unpacker = msgpack.Unpacker(use_list=False)
        found: list[Observed] = []
        while chunk := await reader.read(1 << 16):
            unpacker.feed(chunk)
            for part in unpacker:
                if isinstance(part, dict):
                    return Scanned(found, **part)
                found += map(read_observed, part)
    finally:
        writer.close()
    raise ValueError("the answer ended early")
