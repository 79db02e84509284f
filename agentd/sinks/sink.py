"""A sink: what its channel does not take at once waits in a queue, and the pipeline goes on.

The room of events that wait is not given back to the kernel, so a kill loses none of them: the
buffer is the queue's bound, and where that is large a number of bytes. When it fills up, the oldest
that wait are dropped, counted, and told at their place as ``lost`` events with stage ``sink``. A
channel that fails is tried again and again, and until it works the same holds. An entry that the
encoder fails on is lost alone (``contained.py``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from agentd.core.batch import Batch, Choose, wanted_of
from agentd.core.pipeline import Entry
from agentd.core.undelivered import Untold
from agentd.core.unwritten import Unwritten, whole_lines
from agentd.errors import AgentdError
from agentd.host import clock
from agentd.sinks.chunk import Chunk, datagram, joined, lines
from agentd.sinks.contained import ContainedEncoder, Encode
from agentd.sinks.writer import Channel

Told = Callable[[str, AgentdError | None], None]
"""Hears of a sink, by its name, why it fails; and that it works again, by None."""

CAPACITY_BYTES = 64 << 20
"""What may wait. An event is 3.5 times as large here as in the kernel's buffer, which may be of any
size; two sinks that are full leave 320 MiB of the unit's MemoryHigh=."""
_ROOMY = 0.75
"""How full a queue is once the oldest have been dropped because it was full."""
_AGAIN_SECONDS = 1.0
"""Until a channel that fails is tried again."""


class Sink:
    """A queue in front of a channel. ``told`` hears when that fails, and when it works again.

    ``wanted``: which entries go there; all, without. ``merges``: one line may tell of several.
    """

    def __init__(
        self,
        name: str,
        encode: Encode,
        channel: Channel,
        told: Told,
        events_in: Callable[[memoryview], int] = lines,
        *,
        form: str = "",
        wanted: Choose | None = None,
        merges: bool = False,
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self.name = name
        self.form = form
        """What it is written in."""
        self.capacity_bytes = capacity_bytes
        """What may wait at most, but for a batch or two."""
        self.queued_bytes = 0
        """What waits, in whole batches."""
        self.failure: AgentdError | None = None
        """Why nothing leaves; None while it does, or only its reader is slow."""
        self.dropped_total = 0
        """Events that did not fit into the queue."""
        self.last_dropped_ns = 0
        """When that was last so; 0 if it never was (CLOCK_BOOTTIME)."""
        self.accepted_total = 0
        """Events that were to be written."""
        self.unwanted_total = 0
        """Events that were not: a filter, or a choice of actions, leaves them out."""
        self.merged_total = 0
        """Events that left in the line of another."""
        self.bytes_total = 0
        """What the channel took."""
        self._encoder = ContainedEncoder(encode, lambda error: told(name, error))
        self._channel = channel
        self._told = told
        self._events_in = events_in
        self._a_line_each = events_in is lines and not merges
        self.wanted = wanted
        """Which entries go there; it may change between batches."""
        self._merges = merges
        self._queue: deque[Chunk] = deque()
        self._end = 0
        self._let_go = -1
        self._watching = False

    @property
    def queued(self) -> int:
        """Events that wait."""
        return sum(self._events_of(chunk) for chunk in self._queue if not chunk.own)

    @property
    def behind(self) -> bool:
        """Whether something waits, and may still leave."""
        return bool(self._queue) and self.failure is None

    @property
    def finished_below(self) -> int:
        """Every entry below this number has been written, or dropped."""
        return max(self._let_go, self._queue[0].first) if self._queue else self._end

    @property
    def written_total(self) -> int:
        """Events that the channel has taken to their end."""
        return self.accepted_total - self.queued - self.dropped_total

    @property
    def encode_failures_total(self) -> int:
        """Events that the encoder failed on; a ``lost`` line stands in their place."""
        return self._encoder.failed_total

    def begin(self, heading: str) -> None:
        """What stands before the first entry."""
        payloads = deque([memoryview(heading.encode())])
        if not self._sent(payloads):
            self._add(Chunk(0, 0, payloads, Untold(), begun=True, own=True))

    def write(self, batch: Batch) -> None:
        """Take over a batch, which follows the one before without a gap."""
        parts = [batch] if self.wanted is None else wanted_of(batch, self._chosen)
        silent = -self._encoder.silent_total
        payloads = deque(memoryview(data) for part in parts for data in self._encoder.encode(part))
        silent += self._encoder.silent_total
        entries = sum(len(part.entries) for part in parts)
        accepted = entries if self._a_line_each else silent + sum(map(self._events_in, payloads))
        self.dropped_total += silent
        self.accepted_total += accepted
        merged = entries - accepted if self._merges else 0
        self.merged_total += merged
        self.unwanted_total += len(batch.entries) - accepted - merged
        first, self._end = self._end, batch.first_sequence + len(batch.entries)
        if self._queue or not self._sent(payloads):
            untold = Untold.of(entry for part in parts for entry in part.entries)
            begun = not self._queue
            self._add(Chunk(first, self._end, payloads, untold, begun))
            if self.queued_bytes > self.capacity_bytes:
                self._make_room(batch.wall_offset_ns)

    def _chosen(self, entry: Entry, number: int) -> Entry | None:
        """The entry as it goes there, if it does; what the filter fails on goes."""
        assert self.wanted is not None
        try:
            return self.wanted(entry, number)
        except Exception as bug:  # whatever it is, it must not end the daemon
            self._encoder.failed("cannot filter an entry, let it pass", bug)
            return entry

    def let_go(self, number: int) -> None:
        """Be done with the entries below this number; until they are written they are untold."""
        self._let_go = max(self._let_go, min(number, self._end))

    def drop_below(self, number: int, wall_offset_ns: int) -> None:
        """Let go of the entries below this number, and drop those that are not begun."""
        self.let_go(number)
        begun = self._queue.popleft() if self._queue and self._queue[0].begun else None
        drop: Chunk | None = None
        while self._queue and self._queue[0].end <= number:
            chunk = self._take()
            if not chunk.own:
                self.dropped_total += self._events_of(chunk)
            drop = chunk if drop is None else joined(drop, chunk)
        if drop is not None:
            self.last_dropped_ns = clock.boottime_ns()
            batch = Batch(list(drop.untold.losses()), drop.first, wall_offset_ns)
            payloads = deque(memoryview(data) for data in self._encoder.encode(batch))
            self._add_first(Chunk(drop.first, drop.end, payloads, drop.untold, own=True))
        if begun is not None:
            self._queue.appendleft(begun)

    def untold(self) -> Untold:
        """What has been let go and not written."""
        untold = Untold()
        for chunk in self._queue:
            if chunk.end <= self._let_go:
                untold.add(chunk.untold)
        return untold

    def leave(self) -> Unwritten:
        """Write no more; give what waits, lines that are begun as a whole."""
        self._watch(on=False)
        waiting, self._queue = self._queue, deque()
        self.queued_bytes = 0
        untold = Untold()
        payloads: list[bytes] = []
        for chunk in waiting:
            if chunk.own and not chunk.untold.spans:
                continue  # a heading: who comes next has its own
            untold.add(chunk.untold)
            payloads += map(self._whole, chunk.payloads)
        return Unwritten(self.form, tuple(payloads), tuple(untold.spans.items()))

    def take_over(self, left: Unwritten, wall_offset_ns: int) -> None:
        """Begin with what a sink before this one had not written."""
        payloads = list(left.payloads)
        if left.form != self.form:
            losses: list[Entry] = list(left.untold.losses())
            payloads = self._encoder.encode(Batch(losses, 0, wall_offset_ns))
        waiting = deque(memoryview(data) for data in payloads)
        self.accepted_total += sum(map(self._events_in, waiting))
        if waiting and not self._sent(waiting):
            self._add(Chunk(-1, 0, waiting, left.untold, begun=not self._queue))

    def close(self) -> None:
        """Let go of the channel."""
        self._watch(on=False)
        self._queue.clear()
        self.failure = None
        self._channel.close()

    def _flush(self) -> None:
        """Send what waits, until the channel takes no more."""
        while self._queue:
            chunk = self._queue[0]
            chunk.begun = True
            if not self._sent(chunk.payloads):
                return
            self._take()
        self._watch(on=False)
        if self.failure is not None:
            self.failure = None
            self._told(self.name, None)

    def _add(self, chunk: Chunk) -> None:
        chunk.size_bytes = sum(map(len, chunk.payloads))
        self.queued_bytes += chunk.size_bytes
        self._queue.append(chunk)

    def _add_first(self, chunk: Chunk) -> None:
        self._add(chunk)
        self._queue.rotate(1)

    def _take(self) -> Chunk:
        """The first."""
        chunk = self._queue.popleft()
        self.queued_bytes -= chunk.size_bytes
        return chunk

    def _make_room(self, wall_offset_ns: int) -> None:
        """Drop the oldest, so many that this is not to be done again at once."""
        left_bytes, number = self.queued_bytes, 0
        for chunk in self._queue:
            number = chunk.end
            left_bytes -= 0 if chunk.begun else chunk.size_bytes
            if left_bytes <= self.capacity_bytes * _ROOMY:
                break
        self.drop_below(number, wall_offset_ns)

    def _sent(self, payloads: deque[memoryview]) -> bool:
        """Whether the channel took all of it; what is left stays there."""
        while payloads:
            try:
                taken = self._channel.send(payloads[0])
            except BlockingIOError:
                self._watch(on=True)
                return False
            except AgentdError as error:
                self._rest(error)
                return False
            self.bytes_total += taken
            payload = payloads.popleft()
            if taken < len(payload):
                payloads.appendleft(payload[taken:])
        return True

    def _rest(self, error: AgentdError) -> None:
        """Leave the channel alone for a while."""
        self._watch(on=False)
        asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._flush)
        if self.failure is None:
            self._told(self.name, error)
        self.failure = error

    def _watch(self, *, on: bool) -> None:
        """Go on when the channel is writable."""
        if on == self._watching:
            return
        self._watching = on
        loop = asyncio.get_running_loop()
        if on:
            loop.add_writer(self._channel.fileno(), self._flush)
        else:
            loop.remove_writer(self._channel.fileno())

    def _whole(self, payload: memoryview) -> bytes:
        """Datagrams are sent as a whole."""
        return bytes(payload) if self._events_in is datagram else whole_lines(payload)

    def _events_of(self, chunk: Chunk) -> int:
        return sum(map(self._events_in, chunk.payloads))
