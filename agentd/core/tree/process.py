"""A process as the tree knows it, what it runs, and an event together with both."""

from __future__ import annotations

from typing import Final, NamedTuple

from agentd.core.wire.events import Event

Key = tuple[int, int]
"""(tgid, start_boottime_ns): one process of one boot."""

SOMEBODY: Final[Key] = (0, 1)
"""A parent that is there and not known: an adopter that was not found, as an exit's record has it
(``AGENTD_SOMEBODY``). Nobody is (0, 0)."""


def entity_prefix(boot_id: str) -> str:
    """What the entity ids of one boot begin with, up to the hyphen before the pid."""
    return boot_id[:16]


class Notes:
    """What is to be known of an image, as bits."""

    ARGS_FORGOTTEN: Final = 1
    """There was no room for its arguments any more."""
    EXECUTABLE_FORGOTTEN: Final = 2
    """Likewise for its executable and where it was executed."""
    ALL_FORGOTTEN: Final = 3
    REDACTION_INCOMPLETE: Final = 4
    """There was no time to search all arguments for secrets: the others are replaced as a whole."""
    FROM_PROC: Final = 8
    """It is as /proc showed it, where a process can write: no event of the kernel said so."""


class Image(NamedTuple):
    """What a process runs. Shared by the processes that inherit it."""

    name: bytes
    """task_struct.comm"""
    executable: bytes
    """Empty when it is not known."""
    args: bytes
    """Each argument ended by a NUL."""
    args_count: int
    place: bytes = b""
    """Where it was executed, ``wire.exec_context`` looks into it; empty where that is not known."""
    notes: int = 0
    """``Notes``."""


class Ran(NamedTuple):
    """An image that a process ran, and since when (ns of CLOCK_BOOTTIME; 0 where unknown)."""

    image: Image
    since_ns: int
    before: Ran | None
    length: int
    """How many it and those before it are."""


class Unknown:
    """Why nothing is known of a process that an event names; ``KNOWN`` if something is."""

    KNOWN: Final = ""
    BEFORE_START: Final = "before_start"
    """It ran when agentd began, and /proc did not show it."""
    LOST: Final = "lost"
    """Events were lost since it began."""
    EVICTED: Final = "evicted"
    """It was known, but there was no room for it."""
    OUTSIDE: Final = "outside"
    """It is none of those that the filter lets through."""
    ADOPTER: Final = "adopter"
    """The parent before has exited, and its adopter was not found yet (``SOMEBODY``)."""
    DISORDER: Final = "disorder"
    """None of these: its events came late, or there is a bug."""


class Process:
    """One process, live or exited."""

    # Written out, and no dataclass: compiled, its __init__ costs a tenth of a generated one's.

    __slots__ = (
        "children", "coarse", "creator", "entry", "executed", "exit_code", "exited_ns",
        "finished_cpu_ns", "gap", "image", "image_ns", "inside", "key", "parent", "past",
        "past_forgotten",
        "process_group", "seen_cgroup", "seen_file", "session", "uid", "verified_ns",
    )  # fmt: skip

    def __init__(
        self,
        key: Key,
        parent: Key,
        image: Image,
        *,
        executed: bool,
        coarse: bool = False,
        inside: bool = True,
        verified_ns: int = 0,
        creator: Process | None = None,
        process_group: int = 0,
        session: int = 0,
        uid: int = -1,
        seen_cgroup: str = "",
        seen_file: tuple[int, int] = (0, 0),
    ) -> None:
        self.key = key
        self.parent = parent
        """The process that adopted it, or else its creator, as of its last event: ``reparenting``
        knows who has adopted it since."""
        self.image = image
        self.executed = executed
        """Whether it has run an image of its own: False between fork and exec."""
        self.coarse = coarse
        """The start in ``key`` is only good to a clock tick (seeded from /proc)."""
        self.inside = inside
        """Whether the filter lets its events through."""
        self.image_ns = 0
        """Since when it runs its image; 0 where that is unknown."""
        self.verified_ns = verified_ns
        """When an event, or a look at /proc, last said what it runs."""
        self.creator = creator
        """Who forked it, while that is known."""
        self.gap = Unknown.KNOWN
        """Why its creator is not known."""
        self.children = 0
        """How many of those in the tree it created."""
        self.process_group = process_group
        self.session = session
        """The session's id, the tgid of its leader, as of its last exec; 0 for none."""
        self.entry: Entry | None = None
        self.past: Ran | None = None
        """The images it ran before, the newest first."""
        self.past_forgotten = 0
        """How many it ran before these."""
        self.uid = uid
        """Effective, as of its last event; below 0 where no event and no look at /proc has told."""
        self.seen_file = seen_file
        """Inode and device of what it ran when /proc was last looked at; 0 where unknown."""
        self.seen_cgroup = seen_cgroup
        """Its cgroup v2 path, if /proc told it, as of then."""
        self.finished_cpu_ns = 0
        """CPU time of those below it that have exited, as far as they were seen to."""
        self.exit_code: int | None = None
        self.exited_ns = 0
        """When it was seen to exit, or found gone; 0 while it lives."""


class Entry(NamedTuple):
    """How somebody, or something, came into the host: the leader of the session it began."""

    leader: Process
    kind: str
    """One of those in ``core.tree.sessions``."""


class Doubt(NamedTuple):
    """What the tree adds to an event and cannot vouch for."""

    process: bool
    """A loss may have hidden a change of what the process runs."""
    parent: bool
    """Likewise of its parent."""
    parent_unknown: str
    """Why nothing is known of the parent (``Unknown``)."""
    undecided: str = ""
    """The key of the filter that could not decide whether the event is wanted."""


class Leaders(NamedTuple):
    """Those that a process belongs to, by key; a start of 0 where it is not known exactly."""

    process_group: Key
    session: Key
    entry: Key | None
    entry_kind: str
    """Empty where ``entry`` is None."""


class Applied(NamedTuple):
    """An event together with what the tree knew at that moment."""

    event: Event
    image: Image
    parent_image: Image | None
    """None when the parent is unknown, or there is none."""
    changed: bool
    """An exec of a process that had an image of its own before."""
    doubt: Doubt | None = None
    """None: all of it is certain."""
    leaders: Leaders | None = None
    """Of an exec."""
