"""The front's end of the stream of events, which runs while somebody follows it or sums it up."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from agentd.core.names import Names
from agentd.core.pipeline import Entry
from agentd.core.tree.live import Living
from agentd.core.tree.process import Applied, Image, Key, Process
from agentd.core.tree.reparenting import Adopters
from agentd.core.wire.header import Wire
from agentd.filters.facts import EntryFilter, FactFinder
from agentd.front.entries import NOTHING, Beside, read_entry
from agentd.front.feed import FRAME_BYTES
from agentd.front.filters import Filters
from agentd.front.subscribers import Follower, Followers
from agentd.front.usage import Asking, Interval
from agentd.runtime.packing import unpack

_RECEIVED_BYTES = 4 * FRAME_BYTES
_AGAIN_SECONDS = 0.2
_TURN_SECONDS = 0.005


class _Known:
    """A tree that knows only the process of the entry that is looked at."""

    def __init__(self) -> None:
        self.adopters = Adopters(Living(1, 1, lambda process: None), lambda key: None)
        self.beside = NOTHING

    def find(self, key: Key) -> Process | None:
        """As a tree has it."""
        session, place, seen_cgroup = self.beside
        if session is None:
            return None
        image = Image(b"", b"", b"", 0, place)
        return Process(key, (0, 0), image, executed=False, session=session, seen_cgroup=seen_cgroup)


class Stream:
    """Opens a feed for the first who wants events, and closes it after the last.

    ``hand_over`` gives the daemon the other end of a socket.
    """

    def __init__(self, wire: Wire, entity: str, hand_over: Callable[[socket.socket], None]) -> None:
        self._hand_over = hand_over
        self._pumping: asyncio.Task[None] | None = None
        self._users = 0
        self._known = _Known()
        self._lookups: dict[str, dict[int, str]] = {"user": {}, "group": {}, "cgroup": {}}
        self.names = Names(
            *(self._lookups[sort].get for sort in ("cgroup", "user", "group"))  # as Names has them
        )
        self.facts = FactFinder(self._known, wire, self.names, entity)
        self.filters = Filters()
        self._followers = Followers(self.facts)
        self._asking = Asking(self.facts)

    @contextmanager
    def following(self, follower: Follower) -> Iterator[None]:
        """While the block runs, the follower gets events."""
        with self._open(), self._followers.following(follower):
            yield

    @contextmanager
    def adding(self, interval: Interval, wanted: EntryFilter | None) -> Iterator[None]:
        """While the block runs, the interval gets the work of what a filter wants, or of all."""
        with self._open(), self._asking.adding(interval, wanted):
            yield

    @contextmanager
    def _open(self) -> Iterator[None]:
        self._users += 1
        self._connect()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._close()

    def _connect(self) -> None:
        if self._pumping is None and self._users:
            self._pumping = asyncio.get_running_loop().create_task(self._pump())

    def _close(self) -> None:
        if self._pumping is not None:
            self._pumping.cancel()
            self._pumping = None

    async def _pump(self) -> None:
        """Take frames for as long as somebody wants them."""
        loop = asyncio.get_running_loop()
        while True:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours:
                ours.setblocking(False)
                with theirs:
                    self._hand_over(theirs)
                with contextlib.suppress(ConnectionError):
                    while frame := await loop.sock_recv(ours, _RECEIVED_BYTES):
                        await self._take_contained(unpack(frame))
            await asyncio.sleep(_AGAIN_SECONDS)  # the daemon had no room for it yet

    async def _take_contained(self, frame: Any) -> None:
        """One frame; if that fails, the next may not."""
        try:
            await self._take(frame)
        except Exception as failure:
            context = {"message": "events could not be handed on", "exception": failure}
            asyncio.get_running_loop().call_exception_handler(context)

    async def _take(self, frame: Any) -> None:
        """One frame. Others have their turn after each moment: a filter may take long."""
        forget, names, first, wall_offset_ns, entries = frame
        if forget:
            for lookup in self._lookups.values():
                lookup.clear()
        for sort, number, name in names:
            self._lookups[sort][number] = name
        begun = time.monotonic()
        for sequence, plain in enumerate(entries, first):
            self._offer(*read_entry(plain), sequence, wall_offset_ns)
            if time.monotonic() - begun > _TURN_SECONDS:
                await asyncio.sleep(0)
                begun = time.monotonic()

    def _offer(self, entry: Entry, beside: Beside, sequence: int, wall_offset_ns: int) -> None:
        self._known.beside = beside
        self._followers.offer(entry, sequence, wall_offset_ns)
        if isinstance(entry, Applied):
            self._asking.offer(entry)
