"""All of /proc, as a helper reads it: what others made of their processes cannot hold us up.

Which file another user's process runs can be seen only with CAP_SYS_PTRACE, which a daemon that
has given up everything has not. The service manager starts a helper that has that one capability
(``agentd scan``); without one, it is a child that began before the daemon gave up its own.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from agentd.core.tree.proc_compare import Observed
from agentd.core.tree.process import Image, Notes
from agentd.helpers.client import HelperError, Helpers
from agentd.host.proc_codec import checked_observed
from agentd.runtime.stopping import unless

SCAN_SECONDS = 60.0
TEXT_BYTES_MAX = 32 << 20
"""How much text one scan may bring: arguments and paths. The processes behind that have none, which
is flagged as in the tree (``Notes``)."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found."""

    processes: list[Observed]
    complete: bool
    """Nothing was hidden from it: who is not there is gone."""
    failure: str = ""
    """Why it did not see all that it may; another scan may do better."""


class Scanner:
    """Has a helper scan."""

    def __init__(self, cgroup: str, helpers: Helpers) -> None:
        self._cgroup = cgroup
        self._helpers = helpers

    async def scan(self) -> Scanned:
        """All processes that live; those that were seen before it failed, if it does."""
        found = Found()
        try:
            await self._helpers.scan({"cgroup": self._cgroup}, SCAN_SECONDS, found.take)
        except HelperError as error:
            return Scanned(found.processes(), complete=False, failure=str(error))
        return Scanned(found.processes(), found.complete, found.failure)

    async def first(self, stopping: asyncio.Event) -> Scanned:
        """The same; nobody when it is time to stop before that."""
        stopped = Scanned([], complete=False, failure="agentd stops")
        return await unless(stopping, self.scan()) or stopped


class Found:
    """What a helper has sent so far. It may have sent some twice: the younger look stands."""

    def __init__(self) -> None:
        self.complete = True
        self.failure = ""
        self._by_tgid: dict[int, Observed] = {}
        self._texts: dict[Any, Any] = {}
        """Each text once: many processes have the same."""
        self._room_bytes = TEXT_BYTES_MAX

    def take(self, part: Any) -> None:
        """A part of the answer. Raises ValueError for anything else."""
        if not isinstance(part, tuple) or len(part) != 3 or not isinstance(part[0], tuple):
            raise ValueError("not a part of a scan")
        plain, complete, failure = part
        for process in plain:
            observed = checked_observed(process)
            self._slim(observed)
            self._by_tgid[observed.process.key[0]] = observed
        self.complete = self.complete and complete is True
        self.failure = self.failure or str(failure)

    def processes(self) -> list[Observed]:
        """All of them, by pid."""
        return [self._by_tgid[tgid] for tgid in sorted(self._by_tgid)]

    def _slim(self, observed: Observed) -> None:
        process = observed.process
        image = process.image
        executable, args = self._held(image.executable, b""), self._held(image.args, b"")
        notes = 0
        if image.args and not args:
            notes |= Notes.ARGS_FORGOTTEN
        if image.executable and not executable:
            notes |= Notes.EXECUTABLE_FORGOTTEN
        process.image = Image(image.name, executable, args, image.args_count, notes=notes)
        process.seen_file = observed.inode, observed.device
        process.seen_cgroup = self._held(process.seen_cgroup, "")

    def _held(self, text: Any, none: Any) -> Any:
        """The text as it is kept; ``none`` where there is no room for it."""
        known = self._texts.get(text)
        if known is not None:
            return known
        if len(text) > self._room_bytes:
            return none
        self._room_bytes -= len(text)
        self._texts[text] = text
        return text
