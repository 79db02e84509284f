"""A process of our own, sent through kernel, buffer, order, tree and sinks, to see that all work.

A daemon that is "active (running)" and captures nothing is the worst failure of such tools. The
canary is a process that runs another program and ends at once. When its fork, its exec and its
exit have been handed to the sinks, in this order, all that they went through is known to work. A
sink whose reader is stuck does not count: it drops, and says so itself.

Two things take the place of what is not seen. Where a filter leaves our own processes out, the
kernel's count of what it left out must move instead, for each of the three. Where events are being
lost, the kernel's count of attempts must, and a loss must have been told.

A helper sends it: an exec from a file system that does not answer takes as long as it likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentd.core.batch import Batch
from agentd.core.loss.tracker import KernelCounters, PerCpu
from agentd.core.tree.process import Applied
from agentd.core.wire.events import Event, Exec, Exit, Fork, Lost
from agentd.helpers.client import CANARY, HelperError, Helpers
from agentd.host import clock

COMMAND = "/bin/true"
_LIFE = (Fork, Exec, Exit)
_POLL_SECONDS = 0.01


@dataclass(slots=True)
class _Flight:
    """What has been seen since a canary was sent."""

    before: KernelCounters
    sent_ns: int = field(default_factory=clock.boottime_ns)
    pid: int = 0
    """Of the canary, once the helper has said it."""
    seen: dict[tuple[int, int], int] = field(default_factory=dict)
    """By process, how many of the three events, in their order."""
    rounds: int = 0
    has_losses: bool = False
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By pid, when the last of the three was, and when it was handed on."""

    def saw(self, event: Event) -> None:
        """An event of a child of the helper."""
        if event.start_boottime_ns < self.sent_ns:
            return
        key = event.tgid, event.start_boottime_ns
        stage = self.seen.get(key, 0)
        if stage < len(_LIFE) and isinstance(event, _LIFE[stage]):
            self.seen[key] = stage + 1
            if self.seen[key] == len(_LIFE):
                self.ends[event.tgid] = event.boottime_ns, clock.boottime_ns()

    @property
    def latency_ns(self) -> int:
        """From its exit until that had been handed on; 0 if it was not seen."""
        exited_ns, seen_ns = self.ends.get(self.pid, (0, 0))
        return seen_ns - exited_ns

    def is_over(self, now: KernelCounters) -> bool:
        """Whether all is known to work."""
        if self.pid in self.ends or not self.rounds:
            return self.pid in self.ends
        lost = self.has_losses and _all_moved(self.before.attempts, now.attempts)
        return lost or _all_moved(self.before.filtered, now.filtered)


def _all_moved(before: tuple[PerCpu, ...], now: tuple[PerCpu, ...]) -> bool:
    """Whether a count has grown for each kind."""
    return all(sum(new) > sum(old) for old, new in zip(before, now, strict=True))


class Canary:
    """Sends one at a time. ``wake`` asks for a round, of which ``after_round`` tells."""

    def __init__(
        self,
        read_counters: Callable[[], KernelCounters],
        wake: Callable[[], None],
        helpers: Helpers,
    ) -> None:
        self.passed_total = 0
        self.missed_total = 0
        self.latency_seconds = 0.0
        """Of the last that was seen: from its exit until that had been handed on."""
        self.problem = ""
        """Why the last one did not come through."""
        self._read_counters = read_counters
        self._wake = wake
        self._helpers = helpers
        self._flight: _Flight | None = None

    def written(self, batch: Batch) -> None:
        """A batch has been handed to the sinks."""
        flight = self._flight
        if flight is None:
            return
        sender = self._helpers.child.pid
        for entry in batch.entries:
            if isinstance(entry, Lost):
                flight.has_losses = True
            elif isinstance(entry, Applied) and entry.event.parent_tgid == sender:
                flight.saw(entry.event)

    def after_round(self) -> None:
        """A round is over."""
        if self._flight is not None:
            self._flight.rounds += 1

    async def send(self, limit_seconds: float) -> bool:
        """Whether one came through within that time. One that cannot be sent did not."""
        flight = self._flight = _Flight(self._read_counters())
        try:
            async with asyncio.timeout(limit_seconds):
                await self._fly(flight, limit_seconds)
        except TimeoutError:
            self.problem = f"not seen within {limit_seconds:.3g} s"
        except HelperError as error:  # no process, or no file descriptor, is to be had
            self.problem = f"cannot be sent: {error}"
        else:
            self.problem = ""
        finally:
            self._flight = None
        if self.problem:
            self.missed_total += 1
            return False
        self.passed_total += 1
        self.latency_seconds = flight.latency_ns / 1e9
        return True

    async def _fly(self, flight: _Flight, limit_seconds: float) -> None:
        def take(pid: Any) -> None:
            flight.pid = int(pid)

        await self._helpers.ask(CANARY, COMMAND, limit_seconds, take)
        self._wake()
        while not flight.is_over(self._read_counters()):
            await asyncio.sleep(_POLL_SECONDS)
