"""When the tree may be wrong: scans /proc, a slice at a time, and has the pipeline compare it.

Scans are far apart: what goes on being lost would be missing again at once. The rounds go on
between the slices.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Protocol

from agentd.core.pipeline import Pipeline
from agentd.core.steps import Journal, ScanBegins
from agentd.core.tree.exited import Evictions
from agentd.core.tree.reconcile import Scan
from agentd.helpers.proc_scan import Scanned
from agentd.host import clock

_REST_FACTOR = 20
"""A scan is followed by so many times its own duration without one: 5 % of a CPU at most."""
_REST_SECONDS_MIN = 1.0
_REST_SECONDS_FAILED = 10.0
"""After a scan that could not see all: what it lacked takes a while to come back."""

_LOOK_SECONDS = 60.0
_LOOK_FACTOR = 200
"""How often those that left the filter are looked for, if anybody exits there: 0.5 % of a CPU."""
_ROOM = 7 / 8
"""Of the capacity for live processes; below that those that were dropped may come back."""

LOSS = "events were lost"
DISORDER = "events came out of order, or are not accounted for"
FAILURE = "the last scan failed"
ROOM = "there is room again for processes that were dropped"
OUTSIDE = "processes that left the filter may have exited"
ADOPTER = "who adopted the children of a process was not found"
_USUAL = {OUTSIDE, ADOPTER}
"""Nothing is wrong; and the second, anybody can bring about."""


class Scans(Protocol):
    """What looks at /proc."""

    async def scan(self) -> Scanned:
        """All processes that live."""


class Reconciler:
    """Waits for reasons to scan.

    ``left_out`` counts the exits that a filter kept from us; none without one.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        scanner: Scans,
        log: Any,
        journal: Journal,
        left_out: Callable[[], int] | None = None,
    ) -> None:
        self.total = 0
        """Scans that were made."""
        self._pipeline = pipeline
        self._scanner = scanner
        self._log = log
        self._journal = journal
        self._left_out = left_out
        self._left_out_before = 0 if left_out is None else left_out()
        self._dropped_before = 0
        self._seen = self._counts()
        self._reasons: set[str] = set()
        self._wanted = asyncio.Event()

    def after_round(self) -> None:
        """See whether something has happened since the last time that may make the tree wrong."""
        seen, self._seen = self._seen, self._counts()
        for reason, count in self._seen.items():
            if count != seen[reason]:
                self._want(reason)
        if self._dropped() != self._dropped_before and self._has_room():
            self._want(ROOM)

    def failed(self, failure: str) -> None:
        """A scan did not see all that it may: another will have to."""
        self._log.warning(
            "/proc could not be read",
            error=failure,
            consequence="processes are missing or not verified, until another scan succeeds",
        )
        self._want(FAILURE)

    async def run(self, wake: Callable[[], None]) -> None:
        """Until cancelled. ``wake`` makes a round that compares."""
        took_seconds = 0.0
        while True:
            await self._reason(max(_LOOK_SECONDS, _LOOK_FACTOR * took_seconds))
            while self._pipeline.comparing:
                await asyncio.sleep(_REST_SECONDS_MIN)
            start = time.monotonic()
            failure = await self._scan()
            wake()
            took_seconds = time.monotonic() - start
            await asyncio.sleep(rest_seconds(took_seconds, failed=bool(failure)))

    async def _reason(self, look_seconds: float) -> None:
        """Wait until there is one.

        Who left a filter's cgroup exits unseen, and so do those outside that the seed brought.
        """
        while not self._wanted.is_set():
            if self._left_out is None:
                await self._wanted.wait()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(look_seconds):
                    await self._wanted.wait()
            if self._left_out() != self._left_out_before:
                self._want(OUTSIDE)

    def _has_room(self) -> bool:
        tree = self._pipeline.tree
        return len(tree.living) <= tree.limits.live_capacity * _ROOM

    def _dropped(self) -> int:
        return self._pipeline.tree.departed.evictions[Evictions.LIVE_CAPACITY]

    def _want(self, reason: str) -> None:
        self._reasons.add(reason)
        self._wanted.set()

    def _counts(self) -> dict[str, int]:
        """What grows when the tree may have become wrong."""
        pipeline = self._pipeline
        queue = pipeline.reorderer
        disorder = queue.late_total + queue.forced_total + abs(pipeline.imbalance)
        disorder += pipeline.tree.watched_exits.overflows_total
        sought = pipeline.tree.adopters.sought_total
        return {LOSS: pipeline.lost_total, DISORDER: disorder, ADOPTER: sought}

    async def _scan(self) -> str:
        """Scan once; what kept it from seeing all."""
        reasons = sorted(self._reasons)
        self._reasons.clear()
        self._wanted.clear()
        self._dropped_before = self._dropped()
        if self._left_out is not None:
            self._left_out_before = self._left_out()
        self._journal(ScanBegins())
        self._pipeline.tree.watched_exits.begin()
        begun_ns = clock.boottime_ns()
        found = await self._scanner.scan()
        self.total += 1
        scan = Scan(begun_ns, clock.boottime_ns(), tuple(found.processes), found.complete)
        self._journal(scan)
        self._pipeline.offer(scan)
        if _USUAL.issuperset(reasons) and scan.complete:
            self._log.debug("looked at /proc", reasons=reasons, processes=len(scan.processes))
        else:
            self._log.info(
                "reconciling with /proc",
                reasons=reasons,
                processes=len(scan.processes),
                complete=scan.complete,
            )
        if found.failure:
            self.failed(found.failure)
        return found.failure


def rest_seconds(took_seconds: float, *, failed: bool) -> float:
    """How long no scan follows one that took so long."""
    least = _REST_SECONDS_FAILED if failed else _REST_SECONDS_MIN
    return max(least, _REST_FACTOR * took_seconds)
