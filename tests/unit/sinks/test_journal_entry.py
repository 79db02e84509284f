"""agentd.sinks.journal_entry"""

from __future__ import annotations

import json
import re
from pathlib import Path

from agentd.core.batch import Batch
from agentd.journal_log import datagram
from agentd.sinks.journal_entry import FIELDS, JournalEncoder

EXEC = {
    "event": {"action": "exec"},
    "process": {
        "pid": 12, "name": "curl", "executable": "/usr/bin/curl",
        "args": ["curl", "-H", "a b\nc"], "user": {"id": "0", "name": "root"},
        "parent": {"pid": 1, "executable": "/sbin/init"},
    },
    "agentd": {"cpu": 1, "seq": 5, "boottime_ns": 99, "flags": []},
}  # fmt: skip
EXIT = {
    "event": {"action": "exit"},
    "process": {"pid": 12, "name": "a\x1b[2J", "exit_code": 3},
    "agentd": {"cpu": 0, "flags": ["late", "forced"]},
}
FORK = {"event": {"action": "fork"}, "process": {"pid": 9, "name": "sh"}, "agentd": {"flags": []}}
LOST = {
    "event": {"action": "lost"},
    "agentd": {"cpu": 0, "lost": {"count": 7, "cpu": 0, "stage": "reserve"}, "flags": []},
}


class Events:
    """A renderer of given events."""

    def __init__(self, *events: object) -> None:
        self._events = events

    def render(self, batch: Batch) -> bytes:
        """One JSON object a line."""
        return "".join(json.dumps(event) + "\n" for event in self._events).encode()


def _entries(*events: object, actions: tuple[str, ...]) -> list[dict[str, str]]:
    datagrams = JournalEncoder(Events(*events), actions).encode(Batch([], 0, 0))
    return [parsed(data) for data in datagrams]


def parsed(data: bytes) -> dict[str, str]:
    """An entry's fields, read as journald does."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + length], data[9 + length :]
        fields[name.decode()] = value.decode()
    return fields


def test_fields_to_query_by() -> None:
    """An exec has its action, executable, arguments and people's words as fields."""
    (entry,) = _entries(EXEC, actions=("exec",))
    assert entry == {
        "MESSAGE": "exec 12 /usr/bin/curl -H 'a b\\nc'",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "agentd",
        "AGENTD_ACTION": "exec",
        "AGENTD_PID": "12",
        "AGENTD_NAME": "curl",
        "AGENTD_EXE": "/usr/bin/curl",
        "AGENTD_ARGS": "curl -H 'a b\nc'",
        "AGENTD_UID": "0",
        "AGENTD_USER": "root",
        "AGENTD_PARENT_PID": "1",
        "AGENTD_PARENT_EXE": "/sbin/init",
        "AGENTD_CPU": "1",
        "AGENTD_SEQ": "5",
        "AGENTD_BOOTTIME_NS": "99",
    }


def test_only_what_is_asked_for_and_losses() -> None:
    """Actions that nobody asked for stay out; losses go with any."""
    entries = _entries(FORK, EXEC, EXIT, LOST, actions=("exit",))
    assert [entry["AGENTD_ACTION"] for entry in entries] == ["exit", "lost"]
    assert [entry["PRIORITY"] for entry in entries] == ["6", "4"]


def test_messages_for_people() -> None:
    """Each action has its sentence; what a terminal would obey is shown."""
    entries = _entries(FORK, EXIT, LOST, actions=("fork", "exit"))
    assert [entry["MESSAGE"] for entry in entries] == [
        "fork 9 sh of nobody",
        "exit 12 a\\x1b[2J status 3",
        "lost 7 events on cpu 0 (reserve)",
    ]
    assert entries[1]["AGENTD_FLAGS"] == "late forced"


def test_the_documented_fields_are_there() -> None:
    """docs/service.md has each field with its place in the JSON, and no other."""
    docs = (Path(__file__).resolve().parents[3] / "docs/service.md").read_text()
    assert dict(re.findall(r"`(AGENTD_\w+)` \| `([\w.]+)`", docs)) == FIELDS


def test_a_value_with_newlines_cannot_become_a_field() -> None:
    """Newlines make a field of counted bytes."""
    data = datagram({"A": "x\nB=y", "C": "z"})
    assert parsed(data) == {"A": "x\nB=y", "C": "z"}
