"""After a loss: scans /proc, a slice at a time, and has the pipeline compare it with the tree.

Scans are far apart: what goes on being lost would be missing again at once. The rounds go on
between the slices.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from agentd import host
from agentd.core.journal import Journal, ScanBegins
from agentd.core.pipeline import Pipeline
from agentd.core.reconcile import Scan
from agentd.scanning import Scanner

_REST_FACTOR = 20
"""A scan is followed by so many times its own duration without one: 5 % of a CPU at most."""
_REST_SECONDS_MIN = 1.0


class Reconciler:
    """Waits for losses."""

    def __init__(self, pipeline: Pipeline, scanner: Scanner, log: Any, journal: Journal) -> None:
        self.total = 0
        """Scans that were made."""
        self._pipeline = pipeline
        self._scanner = scanner
        self._log = log
        self._journal = journal
        self._lost_before = 0
        self._lossy = asyncio.Event()

    def after_round(self) -> None:
        """See whether something was lost since the last time."""
        if self._pipeline.lost_total != self._lost_before:
            self._lossy.set()

    async def run(self, wake: Callable[[], None]) -> None:
        """Until cancelled. ``wake`` makes a round that compares."""
        while True:
            await self._lossy.wait()
            self._lossy.clear()
            self._lost_before = self._pipeline.lost_total
            start = time.monotonic()
            await self._scan()
            wake()
            seconds = time.monotonic() - start
            await asyncio.sleep(max(_REST_SECONDS_MIN, _REST_FACTOR * seconds))

    async def _scan(self) -> None:
        self._journal(ScanBegins())
        self._pipeline.tree.watch_exits()
        begun_ns = host.boottime_ns()
        found = await self._scanner.scan()
        self.total += 1
        scan = Scan(begun_ns, host.boottime_ns(), tuple(found.processes), found.complete)
        self._journal(scan)
        self._pipeline.offer(scan)
        self._log.info(
            "reconciling after a loss", processes=len(scan.processes), complete=scan.complete
        )
