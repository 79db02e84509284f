"""Those who follow the events as they leave: each with a filter, and a queue of its own.

A slow one holds up nobody. What does not fit into its queue it misses, and is told so at that
place, as a sink's reader is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from agentd.core.batch import Batch
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied
from agentd.core.undelivered import Untold
from agentd.errors import AgentdError
from agentd.filters.facts import FactFinder, chosen
from agentd.filters.fields import Facts
from agentd.front.filters import FOLLOW_FILTER, Verdict
from agentd.sinks.contained import ContainedEncoder
from agentd.sinks.render.renderer import Renderer

_QUEUE_BYTES_MAX = 4 << 20


class Follower:
    """One of them."""

    def __init__(self, verdict: Verdict, renderer: Renderer) -> None:
        self.verdict = verdict
        self._encoder = ContainedEncoder(lambda batch: [renderer.render(batch)], _unreported)
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._missed = Untold()
        self._ready = asyncio.Event()

    def take(self, entry: Entry, sequence: int, wall_offset_ns: int) -> None:
        """Queue an event, or note that it was missed."""
        if self._bytes > _QUEUE_BYTES_MAX:
            self._missed.add(Untold.of([entry]))
            return
        entries = [*self._missed.losses(), entry]
        self._missed = Untold()
        batch = Batch(entries, sequence + 1 - len(entries), wall_offset_ns)
        data = b"".join(self._encoder.encode(batch))
        self._waiting.append(data)
        self._bytes += len(data)
        self._ready.set()

    async def lines(self) -> bytes:
        """All that waits, once something does."""
        await self._ready.wait()
        self._ready.clear()
        data, self._waiting, self._bytes = b"".join(self._waiting), [], 0
        return data


def _unreported(error: AgentdError) -> None:
    """The follower sees a ``lost`` line; a sink that fails likewise is in the log."""


class Followers:
    """All of them."""

    def __init__(self, facts: FactFinder) -> None:
        self._facts = facts
        self._followers: set[Follower] = set()

    @contextmanager
    def following(self, follower: Follower) -> Iterator[None]:
        """While the block runs, the follower hears of events."""
        self._followers.add(follower)
        try:
            yield
        finally:
            self._followers.discard(follower)

    def offer(self, entry: Entry, sequence: int, wall_offset_ns: int) -> None:
        """Hand an entry to each that wants it, flagged where its filter had no time to decide
        that; losses are for all.
        """
        if not self._followers:
            return
        facts: Facts = self._facts.of_event(entry) if isinstance(entry, Applied) else {}
        for follower in self._followers:
            taken: Entry | None = entry
            if isinstance(entry, Applied):
                taken = chosen(entry, follower.verdict(facts), FOLLOW_FILTER)
            if taken is not None:
                follower.take(taken, sequence, wall_offset_ns)
