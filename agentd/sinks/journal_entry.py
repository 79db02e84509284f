"""Events as journal entries with fields to query by (systemd.journal-fields(7)).

The fields are picked from the JSON of docs/events.md, which is the one account of what an event
says: ``journalctl AGENTD_ACTION=exec AGENTD_EXE=/usr/bin/curl``.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from agentd.core.batch import Batch
from agentd.journal_log import datagram
from agentd.printable import printable
from agentd.sinks.renderer import Renderer

FIELDS = {
    "AGENTD_EVENT_ID": "event.id",
    "AGENTD_ACTION": "event.action",
    "AGENTD_PID": "process.pid",
    "AGENTD_ENTITY_ID": "process.entity_id",
    "AGENTD_NAME": "process.name",
    "AGENTD_EXE": "process.executable",
    "AGENTD_ARGS": "process.args",
    "AGENTD_CWD": "process.working_directory",
    "AGENTD_UID": "process.user.id",
    "AGENTD_USER": "process.user.name",
    "AGENTD_PARENT_PID": "process.parent.pid",
    "AGENTD_PARENT_ENTITY_ID": "process.parent.entity_id",
    "AGENTD_PARENT_EXE": "process.parent.executable",
    "AGENTD_EXIT_CODE": "process.exit_code",
    "AGENTD_SIGNAL": "agentd.signal",
    "AGENTD_TTY": "agentd.tty",
    "AGENTD_LOGIN_UID": "agentd.login_uid",
    "AGENTD_ENTRY": "process.entry_leader.entry_meta.type",
    "AGENTD_CGROUP": "agentd.cgroup.path",
    "AGENTD_UNIT": "agentd.cgroup.unit",
    "AGENTD_CONTAINER_ID": "container.id",
    "AGENTD_CPU": "agentd.cpu",
    "AGENTD_SEQ": "agentd.seq",
    "AGENTD_BOOTTIME_NS": "agentd.boottime_ns",
    "AGENTD_LOST_COUNT": "agentd.lost.count",
    "AGENTD_LOST_STAGE": "agentd.lost.stage",
    "AGENTD_FLAGS": "agentd.flags",
    "AGENTD_UNDECIDED": "agentd.undecided",
    "AGENTD_REDACTION": "agentd.redaction",
}
"""Journal field, and where the JSON has it. A field that an event has not is not in its entry."""

LOST = "lost"
"""Where any event goes, losses go too."""

_INFO, _WARNING = "6", "4"


class JournalEncoder:
    """Batches as datagrams of the journal's protocol, one an event. ``renderer``: the JSON's."""

    def __init__(self, renderer: Renderer, actions: tuple[str, ...]) -> None:
        self._renderer = renderer
        self.choose(actions)

    def choose(self, actions: tuple[str, ...]) -> None:
        """Which go there from now on."""
        self._actions = {*actions, LOST}

    def encode(self, batch: Batch) -> list[bytes]:
        """An entry for each event whose action is asked for."""
        events = map(json.loads, self._renderer.render(batch).splitlines())
        return [
            datagram(_fields(event))
            for event in events
            if event["event"]["action"] in self._actions
        ]


def _fields(event: dict[str, Any]) -> dict[str, str]:
    lost = event["event"]["action"] == LOST
    found = {name: _at(event, path) for name, path in FIELDS.items()}
    return {
        "MESSAGE": _message(event),
        "PRIORITY": _WARNING if lost else _INFO,
        "SYSLOG_IDENTIFIER": "agentd",
        **{name: _text(value) for name, value in found.items() if value not in (None, [])},
    }


def _at(event: dict[str, Any], path: str) -> Any:
    value: Any = event
    for key in path.split("."):
        value = value.get(key)
        if value is None:
            return None
    return value


def _text(value: Any) -> str:
    return shlex.join(value) if isinstance(value, list) else str(value)


def _message(event: dict[str, Any]) -> str:
    """For people: what happened, and to whom."""
    action, agentd = event["event"]["action"], event["agentd"]
    if action == LOST:
        lost = agentd["lost"]
        where = f" on cpu {lost['cpu']}" if "cpu" in lost else ""
        return f"lost {lost['count']} events{where} ({lost['stage']})"
    process = event["process"]
    start = f"{action} {process['pid']}"
    if action == "exec":
        command = [process.get("executable", process["name"]), *process.get("args", [])[1:]]
        return printable(f"{start} {shlex.join(command)}")
    name = printable(process["name"])
    if action == "fork":
        return f"{start} {name} of {process.get('parent', {}).get('pid', 'nobody')}"
    ending = f"signal {agentd['signal']}" if "signal" in agentd else _status(process)
    return f"{start} {name} {ending}"


def _status(process: dict[str, Any]) -> str:
    return f"status {process['exit_code']}" if "exit_code" in process else "end not seen"
