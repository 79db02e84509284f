"""What journald says it has thrown away of ours: its rate limit (journald.conf(5)).

journald takes an entry and drops it without a word to the sender; once its interval is over it
writes how many that were. It is asked for these entries now and then. Whether a limit holds at all
can be seen without that: who may not read the journal knows at least that something may be missing.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from agentd import journal_log
from agentd.settings import Config

_EVERY_SECONDS = 30.0
_UNITS = Path("/run/systemd/units")
"""Where systemd tells journald of each unit's own limits, in symbolic links (unit_export_state,
src/core/unit.c)."""
_JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))
_DROPPED_MESSAGE_ID = "a596d6fe7bfa4994828e72309e95d61e"
"""SD_MESSAGE_JOURNAL_DROPPED, systemd/sd-messages.h"""
_WAY_OUT = (
    "LogRateLimitIntervalSec=1us in the unit; to see them, SupplementaryGroups=systemd-journal"
)
_DEFAULT_BURST = 10_000
"""RateLimitBurst= in journald.conf(5)"""


def journal_unit(config: Config) -> str:
    """The unit whose events go to the journal, by whichever way; none if they do not."""
    if not config.journal.actions and not journal_log.is_journal(1):
        return ""
    return own_unit(Path("/proc/self/cgroup").read_text())


def own_unit(cgroups: str) -> str:
    """The service that a process belongs to, by its /proc/PID/cgroup; empty if to none."""
    names = cgroups.replace("\n", "/").split("/")
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


def _can_read_journal() -> bool:
    files = (file for folder in _JOURNALS for file in folder.glob("*/system.journal"))
    return any(os.access(file, os.R_OK) for file in files)


class Suppression:
    """Counts the entries of a unit that journald has dropped. Without a unit, none."""

    def __init__(self, unit: str, log: Any) -> None:
        self.total = 0
        self.is_limited = bool(unit) and not is_unlimited(unit)
        """Whether journald may drop any."""
        self._unit = unit
        self._log = log
        self._since_seconds = time.time()
        self._is_blind = False

    async def run(self) -> None:
        """Look for ever, if anything can be dropped."""
        if not self.is_limited:
            return
        if not _can_read_journal():
            self._log.warning("journald may drop entries unseen", way_out=_WAY_OUT)
            return
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            dropped = await self._new()
            self.total += dropped
            if dropped:
                self._log.warning("journald drops entries", entries=dropped, way_out=_WAY_OUT)

    async def _new(self) -> int:
        """How many since the last look; of what cannot be read now, the next one tells."""
        try:
            dropped = await asyncio.to_thread(self._look)
        except OSError as error:
            if not self._is_blind:
                self._log.warning("the journal cannot be read", problem=str(error))
            self._is_blind = True
            return 0
        self._is_blind = False
        return dropped

    def _look(self) -> int:
        """How many since the last look. Raises OSError."""
        from systemd.journal import Reader  # noqa: PLC0415 (memory)

        now_seconds = time.time()
        with Reader() as reader:
            reader.add_match(MESSAGE_ID=_DROPPED_MESSAGE_ID)
            reader.seek_realtime(self._since_seconds)
            dropped = dropped_in(list(reader), self._unit)
        self._since_seconds = now_seconds
        return dropped


def dropped_in(entries: list[dict[str, Any]], unit: str) -> int:
    """What entries of journald tell about a unit."""
    return sum(
        int(entry["N_DROPPED"])
        for entry in entries
        if str(entry.get("MESSAGE", "")).endswith(f" from {unit}")
    )
