"""What a filter can ask of: the fields, their types, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

Facts = dict[str, str | int | bool | None]
"""What is known of a process or an event, by field; None, or not there, where it is not."""


@dataclass(frozen=True, slots=True)
class Field:
    """One of them."""

    kind: type
    meaning: str


FIELDS = {
    "action": Field(str, "of an event: fork, exec or exit; of a process: none"),
    "pid": Field(int, "process id"),
    "parent": Field(int, "process id of its parent, if that is known"),
    "entity": Field(str, "entity id"),
    "exe": Field(str, "path of the file that runs"),
    "name": Field(str, "short name"),
    "args": Field(str, "arguments, with a space between each"),
    "uid": Field(int, "effective user id"),
    "user": Field(str, "what the host calls that user"),
    "cgroup": Field(str, "cgroup v2 path"),
    "unit": Field(str, "systemd unit"),
    "slice": Field(str, "systemd slice"),
    "container": Field(str, "container id"),
    "tty": Field(str, "terminal, below /dev, as of its exec"),
    "login": Field(int, "login uid, if somebody ever logged in"),
    "session": Field(int, "session id"),
    "live": Field(bool, "of a process: whether it has not exited"),
    "status": Field(int, "exit status, unless a signal ended it"),
    "signal": Field(int, "the signal that ended it"),
}
