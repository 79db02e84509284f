"""What journald says it has thrown away of ours: its rate limit (journald.conf(5)).

journald takes an entry and drops it without a word to the sender; once its interval is over it
writes how many that were. A helper looks for these entries now and then. Whether a limit holds at
all can be seen without that: who may not read the journal knows at least that something may be
missing.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from agentd.config.schema import Config
from agentd.core.text import as_text
from agentd.helpers.client import JOURNAL, HelperError, Helpers
from agentd.systemd import journal_protocol

_EVERY_SECONDS = 30.0
_UNITS = Path("/run/systemd/units")
"""Where systemd tells journald of each unit's own limits, in symbolic links (unit_export_state,
src/core/unit.c)."""
_LOOK_SECONDS = 20.0
_WAY_OUT = (
    "LogRateLimitIntervalSec=1us in the unit; to see them, SupplementaryGroups=systemd-journal"
)
_DEFAULT_BURST = 10_000
"""RateLimitBurst= in journald.conf(5)"""


def journal_unit(config: Config) -> str:
    """The unit whose events go to the journal, by whichever way; none if they do not."""
    if not config.journal.actions and not journal_protocol.is_journal(1):
        return ""
    return own_unit(Path("/proc/self/cgroup").read_bytes())


def own_unit(cgroups: bytes) -> str:
    """The service that a process belongs to, by its /proc/PID/cgroup; empty if to none."""
    names = as_text(cgroups).replace("\n", "/").split("/")
    return next((name for name in reversed(names) if name.endswith(".service")), "")


def is_unlimited(unit: str, units: Path = _UNITS) -> bool:
    """Whether systemd has told journald to take whatever a unit writes.

    journald takes a burst in each interval, and no entry in a microsecond: an interval of as many
    as the burst has entries limits nothing. systemd does not tell it of an interval or burst of 0.
    """
    interval_usec, burst = (_limit(units, name, unit) for name in ("interval", "burst"))
    return interval_usec is not None and interval_usec <= (burst or _DEFAULT_BURST)


def _limit(units: Path, name: str, unit: str) -> int | None:
    link = units / f"log-rate-limit-{name}:{unit}"
    return int(os.readlink(link)) if link.is_symlink() else None


class Suppression:
    """Counts the entries of a unit that journald has dropped. Without a unit, none."""

    def __init__(self, unit: str, helpers: Helpers, log: Any) -> None:
        self.total = 0
        self.is_limited = bool(unit) and not is_unlimited(unit)
        """Whether journald may drop any."""
        self._unit = unit
        self._helpers = helpers
        self._log = log
        self._since_seconds = time.time()

    async def run(self) -> None:
        """Look for ever, if anything can be dropped; not where the journal may not be read."""
        while self.is_limited:
            now_seconds = time.time()
            asked = [self._unit, self._since_seconds]
            try:
                dropped = await self._helpers.ask(JOURNAL, asked, _LOOK_SECONDS, _no_part)
            except HelperError:  # of what cannot be read now, the next look tells
                dropped = 0
            else:
                self._since_seconds = now_seconds
            if dropped is None:
                self._log.warning("journald may drop entries unseen", way_out=_WAY_OUT)
                return
            if type(dropped) is int and dropped > 0:
                self.total += dropped
                self._log.warning("journald drops entries", entries=dropped, way_out=_WAY_OUT)
            await asyncio.sleep(_EVERY_SECONDS)


def _no_part(part: Any) -> None:
    raise ValueError("an answer with parts")
