"""agentd.sinks.render.journal_fields"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.pipeline import Entry
from agentd.core.tree.process import SOMEBODY, Applied, Image, Leaders
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import NO_CPU, Lost
from agentd.sinks.render.journal_fields import FIELDS, JournalEncoder
from agentd.systemd.journal_protocol import datagram
from tests.records import FORCED, LATE, WIRE, execed, exited, fork, place

BOOT_ID = "0123456789abcdef" + "f" * 16
NAMES = Names({1: "/system.slice/ssh.service"}.get, {0: "root"}.get, {0: "root"}.get)
CURL = Image(b"curl", b"/usr/bin/curl", b"curl\0-H\0a b\nc\0", 3)
INIT = Image(b"init", b"/sbin/init", b"", 0)
RAN: dict[str, Any] = {"tgid": 12, "parent_tgid": 1, "seq": 5, "cpu": 1, "boottime_ns": 99}
EXEC = Applied(
    execed(**RAN, place=place(login_uid=1000, tty=b"pts3".ljust(16, b"\0"))),
    CURL, INIT, changed=True, leaders=Leaders((12, 2), (11, 0), (10, 1), "ssh"),
)  # fmt: skip
EXIT = Applied(
    exited(**RAN, exit_code=3 << 8, flags=LATE | FORCED),
    Image(b"a\x1b[2J", b"", b"", 0), None, changed=False,
)  # fmt: skip
FORK = Applied(fork(**RAN | {"parent_tgid": 0}), Image(b"sh", b"", b"", 0), None, changed=False)
LOST = Lost(50, 7, 0, 7, "reserve", None, 40)
SKIPPED = Lost(50, 7, NO_CPU, 7, "skipped", None, 40)


def _entries(*some: Entry, actions: tuple[str, ...]) -> list[dict[str, str]]:
    encoder = JournalEncoder(WIRE, BOOT_ID, NAMES, actions)
    return [parsed(data) for data in encoder.encode(Batch(list(some), 0, 0))]


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
        "AGENTD_EVENT_ID": "0123456789abcdef-1-5",
        "AGENTD_ACTION": "exec",
        "AGENTD_PID": "12",
        "AGENTD_ENTITY_ID": "0123456789abcdef-12-900",
        "AGENTD_NAME": "curl",
        "AGENTD_EXE": "/usr/bin/curl",
        "AGENTD_ARGS": "curl -H 'a b\nc'",
        "AGENTD_CWD": "/",
        "AGENTD_UID": "0",
        "AGENTD_USER": "root",
        "AGENTD_PARENT_PID": "1",
        "AGENTD_PARENT_ENTITY_ID": "0123456789abcdef-1-5",
        "AGENTD_PARENT_EXE": "/sbin/init",
        "AGENTD_TTY": "pts/3",
        "AGENTD_LOGIN_UID": "1000",
        "AGENTD_ENTRY": "ssh",
        "AGENTD_CGROUP": "/system.slice/ssh.service",
        "AGENTD_UNIT": "ssh.service",
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
    entries = _entries(FORK, EXIT, LOST, SKIPPED, actions=("fork", "exit"))
    assert [entry["MESSAGE"] for entry in entries] == [
        "fork 12 sh of nobody",
        "exit 12 a\\x1b[2J status 3",
        "lost 7 events on cpu 0 (reserve)",
        "lost 7 events (skipped)",
    ]
    assert entries[1]["AGENTD_FLAGS"] == "late forced"


def test_a_parent_that_is_not_known() -> None:
    """An inferred fork of an orphan whose adopter was not found: somebody has it."""
    inferred = Inferred(9, FORK.event.kind, (12, 5), SOMEBODY, CURL, None, None)
    (entry,) = _entries(inferred, actions=("fork",))
    assert entry["MESSAGE"] == "fork 12 curl of somebody"
    assert not [name for name in entry if name.startswith("AGENTD_PARENT")]


def test_a_cgroup_that_is_found_later() -> None:
    """What was not known when the first exec was written is in the next entry."""
    paths: dict[int, str] = {}
    names = Names(paths.get, NAMES.user, NAMES.group)
    encoder = JournalEncoder(WIRE, BOOT_ID, names, ("exec",))
    (first,) = encoder.encode(Batch([EXEC], 0, 0))
    paths[1] = "/a.slice"
    (second,) = encoder.encode(Batch([EXEC], 0, 0))
    assert "AGENTD_CGROUP" not in parsed(first)
    assert parsed(second)["AGENTD_CGROUP"] == "/a.slice"


def test_the_documented_fields_are_there() -> None:
    """docs/service.md has each field with its place in the JSON, and no other."""
    docs = (Path(__file__).resolve().parents[4] / "docs/service.md").read_text()
    assert dict(re.findall(r"`(AGENTD_\w+)` \| `([\w.]+)`", docs)) == FIELDS


def test_a_value_with_newlines_cannot_become_a_field() -> None:
    """Newlines make a field of counted bytes."""
    data = datagram({"A": "x\nB=y", "C": "z"})
    assert parsed(data) == {"A": "x\nB=y", "C": "z"}
