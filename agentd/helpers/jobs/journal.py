"""What journald says it has dropped of a unit, read from the journal's files, on whichever disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from agentd.helpers.worker import Answers, Progress

_JOURNALS = (Path("/var/log/journal"), Path("/run/log/journal"))
_DROPPED_MESSAGE_ID = "a596d6fe7bfa4994828e72309e95d61e"
"""SD_MESSAGE_JOURNAL_DROPPED, systemd/sd-messages.h"""


def run(answers: Answers, asked: Any, progress: Progress) -> None:
    """``asked``: a unit, and since when in s of the wall clock.

    The answer is how many entries were dropped; None where the journal is not ours to read.
    """
    unit, since_seconds = asked
    if not _can_read():
        answers.done()
        return
    from systemd.journal import Reader  # noqa: PLC0415 (not there where nobody can read)

    with Reader() as reader:
        reader.add_match(MESSAGE_ID=_DROPPED_MESSAGE_ID)
        reader.seek_realtime(since_seconds)
        answers.done(dropped_in(reader, unit))


def _can_read() -> bool:
    files = (file for folder in _JOURNALS for file in folder.glob("*/system.journal"))
    return any(os.access(file, os.R_OK) for file in files)


def dropped_in(entries: Any, unit: str) -> int:
    """What entries of journald tell about a unit."""
    return sum(
        int(entry["N_DROPPED"])
        for entry in entries
        if str(entry.get("MESSAGE", "")).endswith(f" from {unit}")
    )
