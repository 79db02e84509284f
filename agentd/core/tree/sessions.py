"""Sessions: whom a process belongs to, and how its session came into the host.

The kernel tells the session and the process group at each exec. A session's leader is classified
once, by what created it: a leader that sshd made came by ssh. One that none of the known doors
made belongs to where its creator came from, so whatever is started from an ssh login, daemons
with sessions of their own too, leads back to that login.
"""

from __future__ import annotations

from typing import Final

from agentd.core.tree.live import Living
from agentd.core.tree.process import Entry, Key, Leaders, Process

# Leaders(...) would run Python for each exec; this makes the same object in C.
_make: Final = tuple.__new__

_INIT_TGID = 1

SSH = "ssh"
CONSOLE = "console"
TERMINAL = "terminal"
CRON = "cron"
CONTAINER = "container"
SYSTEMD = "systemd"
INIT = "init"

_DOORS = {
    b"sshd": SSH,
    b"sshd-session": SSH,
    b"dropbear": SSH,
    b"login": CONSOLE,
    b"agetty": CONSOLE,
    b"cron": CRON,
    b"crond": CRON,
    b"atd": CRON,
    b"anacron": CRON,
    b"runc": CONTAINER,
    b"crun": CONTAINER,
    b"conmon": CONTAINER,
    b"lxc-start": CONTAINER,
    b"systemd-nspawn": CONTAINER,
    b"systemd": SYSTEMD,
    b"tmux: server": TERMINAL,
    b"screen": TERMINAL,
    b"xterm": TERMINAL,
    b"konsole": TERMINAL,
    b"gnome-terminal-": TERMINAL,
    b"kitty": TERMINAL,
    b"alacritty": TERMINAL,
    b"foot": TERMINAL,
}
"""By the name (at most 15 bytes) of what creates session leaders."""

_DOOR_PREFIXES = ((b"containerd-shim", CONTAINER), (b"runc:[", CONTAINER))


class Sessions:
    """The sessions of live processes."""

    def __init__(self, living: Living) -> None:
        self._living = living

    def join(self, process: Process, pid_inside: int) -> None:
        """It is in a session that it was not in: find out how that one began.

        ``pid_inside``: its pid in its own pid namespace; 0 where that is not known.
        """
        leader = self._leader(process)
        if leader is None:
            return
        if leader is process or leader.session != process.session:
            above = leader.creator or self._living.at(leader.parent[0])
            leader.session = process.session
            leader.entry = entry_of(leader, above, pid_inside if leader is process else 0)
        process.entry = leader.entry

    def leaders(self, process: Process) -> Leaders:
        """Those that it belongs to."""
        group = session = exact_key(process)
        if process.process_group != process.key[0]:
            group = self._key_at(process.process_group)
        if process.session == process.process_group:
            session = group
        elif process.session != process.key[0]:
            session = self._key_at(process.session)
        entry = process.entry
        if entry is None:
            return _make(Leaders, (group, session, None, ""))
        return _make(Leaders, (group, session, exact_key(entry.leader), entry.kind))

    def _leader(self, process: Process) -> Process | None:
        """The leader of its session, if it is known still."""
        session = process.session
        if session == process.key[0]:
            return process
        creator = process.creator
        if creator is not None and creator.key[0] == session:
            return creator
        return self._living.at(session)

    def _key_at(self, tgid: int) -> Key:
        process = self._living.at(tgid)
        return (tgid, 0) if process is None else exact_key(process)


def exact_key(process: Process) -> Key:
    """Its key; without the start where that is good to a tick only."""
    return (process.key[0], 0) if process.coarse else process.key


def entry_of(leader: Process, above: Process | None, pid_inside: int) -> Entry | None:
    """How a new session began. None where that is not known.

    ``above``: what created its leader, or has it as its child.
    """
    if pid_inside == _INIT_TGID and leader.key[0] != _INIT_TGID:
        return Entry(leader, CONTAINER)
    if above is None:
        return None
    kind = _door(above)
    return above.entry if kind is None else Entry(leader, kind)


def _door(creator: Process) -> str | None:
    name = creator.image.name
    kind = _DOORS.get(name)
    if kind is not None:
        return kind
    for prefix, kind in _DOOR_PREFIXES:
        if name.startswith(prefix):
            return kind
    return INIT if creator.key[0] == _INIT_TGID else None
