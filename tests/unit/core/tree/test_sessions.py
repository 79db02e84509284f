"""agentd.core.tree.sessions, as the tree uses it: who came in how."""

from __future__ import annotations

from typing import Any

import pytest

from agentd.core.tree.process import Applied, Image, Process
from agentd.core.tree.tree import Tree
from tests.records import TICK_NS, execed, fork, tree_limits


class Host:
    """A tree in which processes fork, become session leaders, and exec."""

    def __init__(self) -> None:
        self.tree = Tree(tree_limits(), TICK_NS)
        self._now_ns = 1000 * TICK_NS
        image = Image(b"systemd", b"/sbin/init", b"init\0", 1)
        self.tree.seed([Process((1, 0), (0, 0), image, executed=True, session=1)], 500)

    def spawn(
        self, tgid: int, parent: int, name: str = "", session: int = 1, **more: int
    ) -> Applied:
        """A child that execs at once, if it has a name."""
        self._now_ns += TICK_NS
        creator = self.tree.living.at(parent)
        assert creator is not None
        who: dict[str, Any] = {
            "boottime_ns": self._now_ns, "start_boottime_ns": self._now_ns, "tgid": tgid,
            "parent_tgid": parent, "parent_start_boottime_ns": creator.key[1],
        }  # fmt: skip
        comm = creator.image.name.ljust(16, b"\0")
        done = self.tree.apply(fork(comm=comm, **who))
        if name:
            comm = name.encode().ljust(16, b"\0")
            groups: dict[str, Any] = {
                "session": session,
                "process_group": tgid,
                "ns_tgid": tgid,
            } | more
            done = self.tree.apply(execed(name.encode(), comm=comm, **who, **groups))
        assert done is not None
        return done


def _entry(applied: Applied) -> tuple[int, str] | None:
    leaders = applied.leaders
    assert leaders is not None
    return None if leaders.entry is None else (leaders.entry[0], leaders.entry_kind)


def test_a_service_came_by_systemd_and_a_login_by_ssh() -> None:
    """Each leader by what created it, everybody else by their leader."""
    host = Host()
    assert _entry(host.spawn(10, 1, "sshd", 10)) == (10, "systemd")
    host.spawn(11, 10, "sshd", 10)
    assert _entry(host.spawn(12, 11, "bash", 12)) == (12, "ssh")
    assert _entry(host.spawn(13, 12, "ls", 12)) == (12, "ssh")


def test_a_daemon_leads_back_to_the_login() -> None:
    """A session of its own, begun from a login's, does not hide where it came from."""
    host = Host()
    host.spawn(10, 1, "sshd", 10)
    host.spawn(12, 10, "bash", 12)
    assert _entry(host.spawn(20, 12, "miner", 20)) == (12, "ssh")
    assert _entry(host.spawn(21, 20, "sh", 20)) == (12, "ssh")


def test_a_leader_that_never_execs() -> None:
    """cron's child makes the session, and its child runs the job."""
    host = Host()
    host.spawn(10, 1, "cron", 10)
    host.spawn(11, 10)
    assert _entry(host.spawn(12, 11, "sh", 11)) == (11, "cron")


@pytest.mark.parametrize(
    ("creator", "kind"),
    [
        ("agetty", "console"),
        ("tmux: server", "terminal"),
        ("containerd-shim", "container"),
        ("runc:[2:INIT]", "container"),
        ("conmon", "container"),
    ],
)
def test_the_doors(creator: str, kind: str) -> None:
    """What creates a session's leader says how that one came."""
    host = Host()
    host.spawn(10, 1, creator, 10)
    assert _entry(host.spawn(12, 10, "sh", 12)) == (12, kind)


def test_the_first_of_a_pid_namespace_is_a_container() -> None:
    """Whoever made it."""
    host = Host()
    host.spawn(10, 1, "unknown-runtime", 10)
    assert _entry(host.spawn(12, 10, "sh", 12, ns_tgid=1)) == (12, "container")


def test_leaders_have_keys_where_they_are_exact() -> None:
    """A leader that is gone or known to a tick only has no start."""
    host = Host()
    shell = host.spawn(12, 1, "bash", 12)
    job = host.spawn(13, 12, "ls", 12, process_group=13)
    assert job.leaders is not None
    assert job.leaders.session == (12, shell.event.start_boottime_ns)
    assert job.leaders.process_group == (13, job.event.start_boottime_ns)
    odd = host.spawn(14, 12, "ls", 99)
    assert odd.leaders is not None
    assert odd.leaders.session == (99, 0)


def test_who_ran_before_is_classified_as_well() -> None:
    """What /proc shows of sessions is enough to know how they began."""
    tree = Tree(tree_limits(), TICK_NS)

    def seen(tgid: int, parent: int, name: bytes, session: int) -> Process:
        key, above = (tgid, tgid * TICK_NS), (parent, parent * TICK_NS)
        image = Image(name, b"/x", b"x\0", 1)
        return Process(key, above, image, executed=True, coarse=True, session=session)

    processes = [seen(12, 11, b"bash", 12), seen(11, 10, b"sshd", 11), seen(13, 12, b"vi", 12)]
    tree.seed([*processes, seen(10, 1, b"sshd", 10), seen(1, 0, b"systemd", 1)], 99 * TICK_NS)
    entries = {
        p.key[0]: p.entry and (p.entry.leader.key[0], p.entry.kind) for p in tree.living.values()
    }
    assert entries == {
        1: None,
        10: (10, "systemd"),
        11: (11, "ssh"),
        12: (12, "ssh"),
        13: (12, "ssh"),
    }
