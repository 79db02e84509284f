"""The process tree: who runs, who ran a moment ago, and who started whom.

Identity is (tgid, start_boottime_ns), parents are found by it, and a pid that is used again is
another process. ``living`` and ``departed`` say who is kept for how long; the departed also keep a
late event from bringing a dead process back. What does not fit the picture is counted by reason
and never raised: the stream may have gaps, and ``doubts`` knows what they may have touched.

Processes seeded from /proc have their start only to a clock tick. The first event that names one
exactly gives it its exact key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agentd.core.redact import Redact, redact_nothing
from agentd.core.tree.exited import Departed, Evictions
from agentd.core.tree.images import Images, from_proc
from agentd.core.tree.live import Living
from agentd.core.tree.misses import Misses
from agentd.core.tree.proc_merge import Sightings
from agentd.core.tree.process import Applied, Image, Key, Process, Unknown
from agentd.core.tree.reparenting import Adopters
from agentd.core.tree.sessions import Sessions
from agentd.core.tree.text_budget import ALL_STEPS, TextBudget
from agentd.core.tree.uncertainty import Doubts
from agentd.core.tree.watched_exits import WatchedExits
from agentd.core.wire import events as at
from agentd.core.wire.events import Event, Exec, Exit, Fork

# Applied(...) would run Python for each event; this makes the same object in C.
_make: Final = tuple.__new__


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """The bounds of the tree."""

    live_capacity: int
    exited_capacity: int
    ancestor_capacity: int
    exited_age_ns: int
    text_bytes: int
    """Of arguments, paths and the like of all of them."""


class Tree:
    """The tree of one host.

    ``tick_ns``: the resolution of start times in /proc. ``redact``: what takes the secrets out of
    arguments, before anything is kept or given. ``filtered``: the kernel tells of some processes
    only.
    """

    def __init__(
        self,
        limits: TreeLimits,
        tick_ns: int,
        redact: Redact = redact_nothing,
        *,
        filtered: bool = False,
    ) -> None:
        self.limits = limits
        self.misses = dict.fromkeys(Misses.ALL, 0)
        self.duplicate_exits_total = 0
        """Exits of a process that had exited: two last threads on kernels that do not tell."""
        self.living = Living(limits.live_capacity, tick_ns, self._evicted)
        self.departed = Departed(
            limits.exited_capacity, limits.exited_age_ns, limits.ancestor_capacity,
            self.living.values, limits.live_capacity,
        )  # fmt: skip
        self.adopters = Adopters(self.living, self.departed.get)
        self.doubts = Doubts(tick_ns, filtered=filtered)
        self._sessions = Sessions(self.living)
        self.images = Images(redact, limits.text_bytes)
        self.text_budget = TextBudget(self.images)
        self.sightings = Sightings(self.living, self._sessions, self.images)
        self._last_fork_ns = 0
        self._last_exit_ns = 0
        self.watched_exits = WatchedExits(self.living.ticks)

    def seed(self, processes: Iterable[Process], begun_ns: int) -> None:
        """Add processes found by a scan that began then.

        Events may have been applied already, if ``watched_exits`` began before the first.
        """
        self.doubts.begun_ns = begun_ns
        self.text_budget.steps_left = ALL_STEPS
        for process in sorted(processes, key=_by_start):
            if not self.watched_exits.has(process.key):
                self._add(process, Unknown.BEFORE_START, begun_ns)
        self.text_budget.end_batch()

    def find(self, key: Key) -> Process | None:
        """The process of that key, live or remembered."""
        return self.living.find(key) or self.departed.get(key)

    def apply(self, event: Event) -> Applied | None:
        """Update the tree. None for the second exit of one process."""
        if isinstance(event, Exit):
            return self._exit(event)
        if isinstance(event, Exec):
            return self._exec(event)
        return self._fork(event)

    def _fork(self, event: Fork) -> Applied:
        key = event[at.TGID], event[at.START_BOOTTIME_NS]
        parent_key, parent = self._parent(event)
        if parent is None and parent_key[0]:
            self.misses[Misses.FORK_PARENT_UNKNOWN] += 1
        creator_key, creator = parent_key, parent
        if event[at.CREATOR_TGID]:
            creator_key = event[at.CREATOR_TGID], event[at.CREATOR_START_BOOTTIME_NS]
            creator = self.find(creator_key)
        image = self.images.inherited(creator, event[at.COMM], event[at.BOOTTIME_NS])
        self._last_fork_ns = max(self._last_fork_ns, event[at.BOOTTIME_NS])
        live = self.living.at(key[0])
        # in order, no process is forked before one that has exited already
        if event[at.BOOTTIME_NS] <= self._last_exit_ns and self.departed.has_exited(key):
            self.misses[Misses.FORK_AFTER_EXIT] += 1
        elif live is not None and self.living.find(key) is not None:
            image = self._came_late(live, creator, image)
        else:
            process = Process(key, parent_key, image, executed=False)
            process.image_ns = event[at.BOOTTIME_NS]
            process.uid = event[at.UID]
            self._create(process, creator, creator_key)
        doubt = None
        if parent is None or self.doubts.lost_ns:
            doubt = self.doubts.of(creator, parent, parent_key)
        return _make(Applied, (event, image, parent and parent.image, False, doubt, None))

    def _came_late(self, process: Process, creator: Process | None, image: Image) -> Image:
        """The fork of a process that is known by a later event, or was seen in /proc.

        Only who forked it was not known. What it ran then: unless it has exec'd, what it runs.
        """
        if process.creator is None and creator is not None:
            process.creator = creator
            process.gap = Unknown.KNOWN
            process.entry = process.entry or creator.entry
            creator.children += 1
        if process.image_ns:
            return image
        process.executed = False  # its execs are still to come, if there were any
        return process.image

    def _create(self, process: Process, creator: Process | None, creator_key: Key) -> None:
        """Insert what was just forked; it has from its creator what children have."""
        if creator is None:
            process.gap = self.doubts.why_unknown(creator_key)
            process.verified_ns = process.image_ns
        else:
            process.creator = creator
            # what is doubted of its image is inherited; a look at the creator may be younger
            verified_ns, forked_ns = creator.verified_ns, process.image_ns
            process.verified_ns = verified_ns if verified_ns < forked_ns else forked_ns
            process.process_group = creator.process_group
            process.session = creator.session
            process.entry = creator.entry
            process.seen_cgroup = creator.seen_cgroup
            creator.children += 1
            if self.images.counted is not None:
                self.text_budget.add(process)
        self._insert(process, process.image_ns)

    def _exec(self, event: Exec) -> Applied:
        key = event[at.TGID], event[at.START_BOOTTIME_NS]
        parent_key, parent = self._parent(event)
        image = self.images.executed(event)
        process = self.find(key)
        changed = False
        if process is None:
            self.misses[Misses.EXEC_UNKNOWN] += 1
            process = Process(key, parent_key, image, executed=True)
            process.gap = self.doubts.why_unknown(key)
            process.image_ns = event[at.BOOTTIME_NS]
            self._insert(process, event[at.BOOTTIME_NS])
        else:
            changed = process.executed
            if event[at.BOOTTIME_NS] < process.verified_ns:
                self.images.recall(process, image, event[at.BOOTTIME_NS])
            else:
                self.images.change(process, image, event[at.BOOTTIME_NS])
                process.parent = parent_key
            if process.children and event[at.BOOTTIME_NS] < self._last_fork_ns:
                self.doubts.mistrust(self._last_fork_ns)  # those since have what it ran before
        if process.verified_ns <= event[at.BOOTTIME_NS]:
            self._now_in(process, event)
        doubt = None
        if parent is None or self.doubts.lost_ns:
            doubt = self.doubts.of(None, parent, parent_key)
        leaders = self._sessions.leaders(process)
        if self.images.used_bytes > self.text_budget.begin_bytes:
            process.image = self.images.to_keep(process.image)
            self._keep_text()
        return _make(Applied, (event, image, parent and parent.image, changed, doubt, leaders))

    def _now_in(self, process: Process, event: Exec) -> None:
        """Whose a process is, as of an exec that is younger than what is known."""
        process.verified_ns = event[at.BOOTTIME_NS]
        process.uid = event[at.UID]
        process.process_group = event[at.PROCESS_GROUP]
        if process.session != event[at.SESSION]:
            process.session = event[at.SESSION]
            self._sessions.join(process, event[at.NS_TGID])

    def _exit(self, event: Exit) -> Applied | None:
        key = event[at.TGID], event[at.START_BOOTTIME_NS]
        parent_key, parent = self._parent(event)
        process = self.find(key)
        if process is None:
            self.misses[Misses.EXIT_UNKNOWN] += 1
            image = self.images.inherited(None, event[at.COMM], 0)
            process = Process(key, parent_key, image, executed=False)
            process.gap = self.doubts.why_unknown(key)
            process.verified_ns = event[at.BOOTTIME_NS]
        elif process.exit_code is not None:
            self.duplicate_exits_total += 1
            return None
        process.exit_code = event[at.EXIT_CODE]
        process.uid = event[at.UID]
        if process.creator is not None:
            # in sums truer than runtime_ns: core.work
            taken_ns = event[at.UTIME_NS] + event[at.STIME_NS]
            process.creator.finished_cpu_ns += taken_ns + process.finished_cpu_ns
        self._last_exit_ns = max(self._last_exit_ns, event[at.BOOTTIME_NS])
        process.parent = parent_key
        if event[at.ADOPTER_TGID] or event[at.ADOPTER_START_BOOTTIME_NS]:
            adopter = event[at.ADOPTER_TGID], event[at.ADOPTER_START_BOOTTIME_NS]
            self.adopters.note(process, adopter)
        self.watched_exits.note(key)
        image = process.image  # where none is remembered, closing forgets it
        if not process.exited_ns:
            self.close(process, event[at.BOOTTIME_NS])
        doubt = None
        if parent is None or self.doubts.lost_ns:
            doubt = self.doubts.of(process, parent, parent_key)
        return _make(Applied, (event, image, parent and parent.image, False, doubt, None))

    def expire(self, now_ns: int) -> None:
        """End a batch: let go of what is too old, and of the oldest text if there is too much."""
        self.departed.expire(now_ns)
        self._keep_text()
        self.text_budget.end_batch()

    def forget_at_once(self) -> None:
        """Forget the oldest text, if there is too much, however long that takes: at the start."""
        self.text_budget.steps_left = ALL_STEPS
        self._keep_text()
        self.text_budget.end_batch()

    def add(self, process: Process, why: str, now_ns: int) -> None:
        """One that was found alive, and why it was not known; its pid's owner before has exited."""
        self._add(process, why, now_ns)

    def replace_image(self, process: Process, image: Image) -> None:
        """A process was found running another image, nobody knows since when."""
        self.images.change(process, self.images.shared(from_proc(image)), 0)
        self._keep_text()

    def close(self, process: Process, now_ns: int) -> None:
        """A process has exited, or was found gone: from the living to the departed."""
        self.living.remove(process)
        self.departed.remember(process, now_ns)

    def _add(self, process: Process, gap: str, now_ns: int) -> None:
        """Insert what /proc shows; who created it is not to be seen there."""
        known = self.living.at(process.key[0])
        if known is not None and self.living.ticks(known.key) == self.living.ticks(process.key):
            self.sightings.merge(known, process)
            return
        process.gap = gap if process.parent[0] else Unknown.KNOWN
        process.parent = self.living.exact(process.parent)
        process.image = self.images.shared(from_proc(process.image))
        process.seen_cgroup = self.images.cgroup(process.seen_cgroup)
        self._insert(process, now_ns)
        if process.session:
            self._sessions.join(process, 0)
        self._keep_text()

    def _parent(self, event: Event) -> tuple[Key, Process | None]:
        """The parent and its key: the parent's own, so that all its children share one."""
        key = event[at.PARENT_TGID], event[at.PARENT_START_BOOTTIME_NS]
        parent = self.living.find(key) or self.departed.get(key)
        return (key, None) if parent is None else (parent.key, parent)

    def _insert(self, process: Process, now_ns: int) -> None:
        """Make it the live owner of its pid."""
        displaced = self.living.insert(process)
        if displaced is None:
            return
        if displaced is not process and displaced.inside:  # of others no end is told
            self.misses[Misses.EXIT_MISSED] += 1
        self.departed.remember(displaced, now_ns)

    def _keep_text(self) -> None:
        """Forget the oldest text, if there is too much."""
        if self.text_budget.is_due:
            self.text_budget.begin(self.living.values(), self.departed.youngest_first())
        self.text_budget.advance()

    def _evicted(self, process: Process) -> None:
        self.doubts.evict(process.key)
        self.departed.evict(process, Evictions.LIVE_CAPACITY)


def _by_start(process: Process) -> Key:
    """Parents before their children."""
    return process.key[1], process.key[0]
