"""When the tree may be wrong: scans /proc, a slice at a time, and has the pipeline compare it.

Scans are far apart: what goes on being lost would be missing again at once. The rounds go on
between the slices.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from agentd import host
from agentd.core.journal import Journal, ScanBegins
from agentd.core.pipeline import Pipeline
from agentd.core.reconcile import Scan
from agentd.scanning import Scanned

_REST_FACTOR = 20
"""A scan is followed by so many times its own duration without one: 5 % of a CPU at most."""
_REST_SECONDS_MIN = 1.0
_REST_SECONDS_FAILED = 10.0
"""After a scan that could not see all: what it lacked takes a while to come back."""

LOSS = "events were lost"
DISORDER = "events came out of order, or are not accounted for"
FAILURE = "the last scan failed"


class Scans(Protocol):
    """What looks at /proc."""

    async def scan(self) -> Scanned:
        """All processes that live."""


class Reconciler:
    """Waits for reasons to scan."""

    def __init__(self, pipeline: Pipeline, scanner: Scans, log: Any, journal: Journal) -> None:
        self.total = 0
        """Scans that were made."""
        self._pipeline = pipeline
        self._scanner = scanner
        self._log = log
        self._journal = journal
        self._seen = self._counts()
        self._reasons: set[str] = set()
        self._wanted = asyncio.Event()

    def after_round(self) -> None:
        """See whether something has happened since the last time that may make the tree wrong."""
        seen, self._seen = self._seen, self._counts()
        for reason, count in self._seen.items():
            if count != seen[reason]:
                self._want(reason)

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
        while True:
            await self._wanted.wait()
            while self._pipeline.comparing:
                await asyncio.sleep(_REST_SECONDS_MIN)
            start = time.monotonic()
            failure = await self._scan()
            wake()
            await asyncio.sleep(rest_seconds(time.monotonic() - start, failed=bool(failure)))

    def _want(self, reason: str) -> None:
        self._reasons.add(reason)
        self._wanted.set()

    def _counts(self) -> dict[str, int]:
        """What grows when the tree may have become wrong."""
        pipeline = self._pipeline
        queue = pipeline.reorderer
        disorder = queue.late_total + queue.forced_total + abs(pipeline.imbalance)
        return {LOSS: pipeline.lost_total, DISORDER: disorder}

    async def _scan(self) -> str:
        """Scan once; what kept it from seeing all."""
        reasons = sorted(self._reasons)
        self._reasons.clear()
        self._wanted.clear()
        self._journal(ScanBegins())
        self._pipeline.tree.watch_exits()
        begun_ns = host.boottime_ns()
        found = await self._scanner.scan()
        self.total += 1
        scan = Scan(begun_ns, host.boottime_ns(), tuple(found.processes), found.complete)
        self._journal(scan)
        self._pipeline.offer(scan)
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
