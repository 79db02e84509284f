"""The tree where it may be wrong: held against what /proc shows, and corrected where they differ.

A scan sees each process at a moment of its own, while events go on. So it is compared only when
every event up to its end has been applied: what the tree knows from an event younger than the
sight of a process stands, and a process that exited since then is not brought back. What is left
can only be due to a loss, and leaves as an event that is ``inferred``.

That holds for as long as it takes, so it is done a slice a round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from agentd.core.tree.proc_compare import Observed, Verdict, judge
from agentd.core.tree.process import Doubt, Image, Key, Process, Unknown
from agentd.core.tree.tree import Tree
from agentd.core.wire.exec_context import PlaceReader

_COMPARED = 512
_CLOSED = 4096
_ADDED = 128
"""Processes a slice: none takes more than some ms (bench/crowd.py)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scan:
    """All processes, seen one after the other between two moments of CLOCK_BOOTTIME."""

    begun_ns: int
    ended_ns: int
    processes: tuple[Observed, ...]
    complete: bool
    """Whether processes that it does not show are gone; not so where some are hidden."""


class Inferred(NamedTuple):
    """A fork, exec or exit that was not reported but must have happened before this moment."""

    boottime_ns: int
    kind: int
    key: Key
    parent: Key
    image: Image
    parent_image: Image | None
    user: tuple[int, int] | None
    """uid and gid, where they are known."""
    doubt: Doubt | None = None
    """None: all of it is certain."""
    evidence: str = ""
    """Of an exec, by what /proc differs (``Verdict``)."""
    before: Image | None = None
    """Of an exec, what it ran by all that was known."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The numbers of the kinds of events."""

    fork: int
    exec: int
    exit: int


class Comparison:
    """One scan and the tree. ``watched_exits`` of the tree must have begun when it did."""

    def __init__(self, tree: Tree, scan: Scan, kinds: Kinds, places: PlaceReader) -> None:
        self.over = False
        self._tree = tree
        self._scan = scan
        self._kinds = kinds
        self._places = places
        self._now_ns = 0
        self._seen: set[Key] = set()
        self._unknown: list[Observed] = []
        self._work = self._slices()

    def advance(self, now_ns: int) -> list[Inferred]:
        """Do a slice; the events that must have been missed before ``now_ns``."""
        self._now_ns = now_ns
        found = next(self._work, None)
        if found is not None:
            return found
        self.over = True
        self._tree.watched_exits.end()
        return []

    def _slices(self) -> Iterator[list[Inferred]]:
        """Who is known is compared, who has gone is closed, who is new is added.

        In this order: a pid's owner before is closed first, and parents are there for children.
        """
        for some in _parts(self._scan.processes, _COMPARED):
            yield [change for seen in some if (change := self._compare(seen)) is not None]
        if self._scan.complete:
            for living in _parts(list(self._tree.living.values()), _CLOSED):
                yield [exit_ for process in living if (exit_ := self._close(process)) is not None]
        self._unknown.sort(key=_by_start)
        for some in _parts(self._unknown, _ADDED):
            yield [fork for seen in some if (fork := self._add(seen)) is not None]

    def _compare(self, seen: Observed) -> Inferred | None:
        """Correct one that is known; others wait."""
        process, living = seen.process, self._tree.living
        known, ticks = living.at(process.key[0]), living.ticks(process.key)
        self._seen.add(ticks)
        known_ticks = (0, 0) if known is None else living.ticks(known.key)
        if known is None or known_ticks < ticks:
            self._unknown.append(seen)
            return None
        if known_ticks != ticks or known.verified_ns > process.verified_ns:
            return None
        tree = self._tree
        suspect = tree.doubts.is_suspect(known)
        verdict = judge(known, seen, self._places, tree.images.redact, suspect=suspect)
        tree.sightings.meet(known, process)
        tree.adopters.review(known)
        if verdict == Verdict.UNSEEN:
            return None
        known.verified_ns = process.verified_ns
        known.seen_file = seen.inode, seen.device
        if verdict == Verdict.SAME:
            return None
        before, there = known.image, process.image
        if verdict == Verdict.ARGUMENTS:  # the file is the one the kernel reported
            there = there._replace(executable=before.executable, place=before.place)
        tree.replace_image(known, there)
        if not before.executable or not process.inside:
            return None
        event = self._event(known, self._kinds.exec, seen)
        return event._replace(evidence=verdict, before=before)

    def _close(self, process: Process) -> Inferred | None:
        """One that began before the scan and is not in it has exited unseen."""
        living = self._tree.living
        ticks, began = living.ticks(process.key), living.ticks((0, self._scan.begun_ns))
        gone = ticks[1] < began[1] and ticks not in self._seen
        if not gone or living.at(process.key[0]) is not process:
            return None
        image = process.image  # where none is remembered, closing forgets it
        self._tree.close(process, self._now_ns)
        if not process.inside:
            return None
        return self._event(process, self._kinds.exit, None)._replace(image=image)

    def _add(self, seen: Observed) -> Inferred | None:
        """One that was not known: it was forked unseen, or there was no room for it."""
        process, tree = seen.process, self._tree
        ticks, known = tree.living.ticks(process.key), tree.living.at(process.key[0])
        if known is not None and tree.living.ticks(known.key) >= ticks:
            return None  # an event has told meanwhile
        if tree.watched_exits.has(process.key):
            return None
        why = tree.doubts.why_unknown(process.key)
        tree.add(process, why, self._now_ns)
        unseen = why in (Unknown.LOST, Unknown.DISORDER)
        return self._event(process, self._kinds.fork, seen) if unseen and process.inside else None

    def _event(self, process: Process, kind: int, seen: Observed | None) -> Inferred:
        tree = self._tree
        parent_key = tree.adopters.parent(process)
        parent = tree.find(parent_key)
        return Inferred(
            boottime_ns=self._now_ns,
            kind=kind,
            key=process.key,
            parent=parent_key,
            image=process.image,
            parent_image=None if parent is None else parent.image,
            user=None if seen is None else (seen.uid, seen.gid),
            doubt=tree.doubts.of(process, parent, parent_key),
        )


class Reconciliation:
    """One scan at a time waits for its events, and is compared."""

    def __init__(self, tree: Tree, kinds: Kinds, places: PlaceReader) -> None:
        self._tree = tree
        self._kinds = kinds
        self._places = places
        self._scan: Scan | None = None
        self._comparison: Comparison | None = None

    @property
    def pending(self) -> bool:
        """Whether a scan is still to be compared; no other may begin."""
        return self._scan is not None or self._comparison is not None

    def offer(self, scan: Scan) -> None:
        """Compare a scan as soon as all events up to its end have been applied."""
        self._scan = scan

    def advance(self, watermark_ns: int) -> list[Inferred]:
        """Do a slice, if it is time; all events up to that moment have been applied."""
        scan = self._scan
        if self._comparison is None and scan is not None and scan.ended_ns <= watermark_ns:
            self._comparison = Comparison(self._tree, scan, self._kinds, self._places)
            self._scan = None
        if self._comparison is None:
            return []
        found = self._comparison.advance(watermark_ns)
        if self._comparison.over:
            self._comparison = None
        return found


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """All items, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _by_start(observed: Observed) -> Key:
    """Parents before their children."""
    tgid, start_ns = observed.process.key
    return start_ns, tgid
