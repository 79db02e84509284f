"""The daemon's own log in the journal, with fields to query by (systemd.journal-fields(7)).

``journalctl -u agentd -o verbose`` shows them; what happens to agentd has a MESSAGE_ID, by which
the catalog (``journalctl -x``) explains it.
"""

from __future__ import annotations

import json
import os
from typing import Any

from agentd.core.text import clean

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog(3)"""

SENTENCE = "message"
"""The field of a line that has a sentence of its own for people; the others get one made up."""

MESSAGE_IDS = {
    "attached": "5d1a6f0e3c7b4d39a2f81c0b6e94d701",
    "ready": "5d1a6f0e3c7b4d39a2f81c0b6e94d702",
    "events lost": "5d1a6f0e3c7b4d39a2f81c0b6e94d703",
    "reconciling with /proc": "5d1a6f0e3c7b4d39a2f81c0b6e94d704",
    "a canary did not come through": "5d1a6f0e3c7b4d39a2f81c0b6e94d705",
    "no answer from the scan socket": "5d1a6f0e3c7b4d39a2f81c0b6e94d706",
    "reloaded": "5d1a6f0e3c7b4d39a2f81c0b6e94d707",
    "not reloaded": "5d1a6f0e3c7b4d39a2f81c0b6e94d708",
    "needs a restart": "5d1a6f0e3c7b4d39a2f81c0b6e94d709",
    "stopped": "5d1a6f0e3c7b4d39a2f81c0b6e94d70a",
    "took over": "5d1a6f0e3c7b4d39a2f81c0b6e94d70b",
    "journald drops entries": "5d1a6f0e3c7b4d39a2f81c0b6e94d70c",
    "/proc could not be read": "5d1a6f0e3c7b4d39a2f81c0b6e94d70d",
    "a sink fails": "5d1a6f0e3c7b4d39a2f81c0b6e94d70e",
    "a sink works again": "5d1a6f0e3c7b4d39a2f81c0b6e94d70f",
    "the metrics port is taken": "5d1a6f0e3c7b4d39a2f81c0b6e94d710",
    "a helper failed": "5d1a6f0e3c7b4d39a2f81c0b6e94d711",
}
"""They never change; the catalog (packaging/agentd.catalog) has one entry for each."""


def is_journal(fd: int, stream: str | None = None) -> bool:
    """Whether a file descriptor leads to the journal (JOURNAL_STREAM in systemd.exec(5))."""
    stream = os.environ.get("JOURNAL_STREAM", "") if stream is None else stream
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def entry(event: dict[str, Any]) -> dict[str, str]:
    """A log line's fields as those of a journal entry."""
    event = dict(event)
    name, level = event.pop("event"), event.pop("level")
    words = " ".join(f"{key}={_text(value)}" for key, value in event.items() if key != SENTENCE)
    sentence = event.pop(SENTENCE, f"{name}: {words}" if words else name)
    fields = {
        "MESSAGE": sentence,
        "PRIORITY": str(PRIORITIES[level]),
        "SYSLOG_IDENTIFIER": "agentd",
    }
    if name in MESSAGE_IDS:
        fields["MESSAGE_ID"] = MESSAGE_IDS[name]
    return fields | {f"AGENTD_{key.upper()}": _text(value) for key, value in event.items()}


def datagram(fields: dict[str, str]) -> bytes:
    """An entry as journald takes it (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    parts = []
    for name, value in fields.items():
        data = clean(value).encode()
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + len(data).to_bytes(8, "little") + data)
        else:
            parts.append(name.encode() + b"=" + data)
    return b"\n".join(parts) + b"\n"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
