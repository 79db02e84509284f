"""The stream of events for whoever follows it through the front; nothing while nobody does.

The front makes a pair of SOCK_SEQPACKET sockets and hands one of them over. The daemon writes
frames to it, never waits, and forgets it when the other end is closed. A bounded part of what the
socket does not take waits here. What does not fit is missed, and reported as ``lost`` of stage
``sink`` in the next frame that fits.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterator, Sequence

from agentd.core.batch import Batch
from agentd.core.names import NameOf, Names
from agentd.core.pipeline import Entry
from agentd.core.tree.ancestry import whereabouts
from agentd.core.tree.images import path_bytes
from agentd.core.tree.process import Applied, Key
from agentd.core.tree.reconcile import Inferred
from agentd.core.tree.tree import Tree
from agentd.core.undelivered import Untold
from agentd.core.wire.events import Exec
from agentd.core.wire.exec_context import PlaceReader
from agentd.core.wire.header import Wire
from agentd.front.entries import NOTHING, Beside, plain_entry
from agentd.runtime.packing import pack

FRAME_BYTES = 128 << 10
"""The longest frame; an entry has less than half of it."""
_ENTRY_BYTES = 1024
"""More than most entries have: a frame takes so many that it does not get too long."""
_QUEUE_BYTES_MAX = 2 << 20
_FEEDS_MAX = 4
"""A front has one. Another may still be there from one that was killed."""
_NAMES_BYTES_MAX = 4 << 20
"""When names that a feed has sent take that much, both sides forget them and begin anew."""
_NAME_BYTES = 300
"""What a name takes beside its text in either process; a place takes that, too."""


class Feeds:
    """All of them."""

    def __init__(self, tree: Tree, wire: Wire, names: Names) -> None:
        self._tree, self._names = tree, names
        self._places = PlaceReader(wire)
        self._feeds: set[Feed] = set()

    def add(self, fd: int) -> None:
        """Write to that socket from now on. The descriptor is ours."""
        sock = socket.socket(fileno=fd)
        if len(self._feeds) >= _FEEDS_MAX or sock.type != socket.SOCK_SEQPACKET:
            sock.close()
            return
        self._feeds.add(Feed(sock, self._places, self._names))

    def offer(self, batch: Batch) -> None:
        """The entries of a round."""
        if not self._feeds:
            return
        with_beside = [(entry, self._beside(entry)) for entry in batch.entries]
        for feed in list(self._feeds):
            try:
                feed.write(with_beside, batch)
            except OSError:
                feed.close()
                self._feeds.discard(feed)

    def close(self) -> None:
        """Let go of all."""
        for feed in self._feeds:
            feed.close()
        self._feeds.clear()

    def _beside(self, entry: Entry) -> Beside:
        if not isinstance(entry, Applied):
            return NOTHING
        key: Key = (entry.event.tgid, entry.event.start_boottime_ns)
        process = self._tree.find(key)
        if process is None:
            return NOTHING
        if entry.image.place:
            return Beside(process.session, b"", "")
        return Beside(process.session, *whereabouts(process))


class Feed:
    """One of them, with what it has been sent of names."""

    def __init__(self, sock: socket.socket, places: PlaceReader, names: Names) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * FRAME_BYTES)
        self._sock = sock
        self._names = _NewNames(places, names)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._missed = Untold()
        self._is_writing = self._is_broken = False

    def write(self, entries: Sequence[tuple[Entry, Beside]], batch: Batch) -> None:
        """Send or queue them. Raises OSError once the other end is closed."""
        if self._is_broken:
            raise BrokenPipeError
        for start, end in _frames([entry for entry, _ in entries]):
            some = entries[start:end]
            if self._waiting_bytes > _QUEUE_BYTES_MAX:
                self._missed.add(Untold.of(entry for entry, _ in some))
                continue
            losses = [(lost, NOTHING) for lost in self._missed.losses()]
            self._missed = Untold()
            first = batch.first_sequence + start - len(losses)
            self._send(self._frame([*losses, *some], first, batch.wall_offset_ns))

    def close(self) -> None:
        """Let go of it."""
        if self._is_writing:
            asyncio.get_running_loop().remove_writer(self._sock.fileno())
        self._sock.close()

    def _frame(self, entries: Sequence[tuple[Entry, Beside]], first: int, offset_ns: int) -> bytes:
        forget = self._names.sent_bytes > _NAMES_BYTES_MAX
        if forget:
            self._names.forget()
        names = list(self._names.of(entries))
        plain = [plain_entry(entry, beside) for entry, beside in entries]
        return pack((forget, names, first, offset_ns, plain))

    def _send(self, frame: bytes) -> None:
        if not self._waiting:
            try:
                self._sock.send(frame)
                return
            except BlockingIOError:
                pass
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if not self._is_writing:
            self._is_writing = True
            asyncio.get_running_loop().add_writer(self._sock.fileno(), self._send_waiting)

    def _send_waiting(self) -> None:
        try:
            while self._waiting:
                self._sock.send(self._waiting[0])
                self._waiting_bytes -= len(self._waiting.popleft())
        except BlockingIOError:
            return
        except OSError:
            self._is_broken = True
        self._stop_writing()

    def _stop_writing(self) -> None:
        self._is_writing = False
        asyncio.get_running_loop().remove_writer(self._sock.fileno())


def _frames(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """From where to where the entries of a frame reach, so that it is not too long."""
    start, size = 0, 0
    for place, entry in enumerate(entries):
        more = _ENTRY_BYTES + _text_bytes(entry)
        if place > start and size + more > FRAME_BYTES:
            yield start, place
            start, size = place, 0
        size += more
    if entries:
        yield start, len(entries)


def _text_bytes(entry: Entry) -> int:
    """Of what may be long in an entry."""
    if not isinstance(entry, Applied | Inferred):
        return 0
    before = entry.before if isinstance(entry, Inferred) else None
    images = (entry.image, entry.parent_image, before)
    size = sum(len(image.args) + len(image.executable) for image in images if image is not None)
    if isinstance(entry, Applied) and isinstance(entry.event, Exec):
        event = entry.event
        size += sum(map(len, (event.filename, event.path, event.cwd, event.args)))
    return size


class _NewNames:
    """Names that the other end does not have yet."""

    def __init__(self, places: PlaceReader, names: Names) -> None:
        self._places = places
        self._lookups: dict[str, NameOf] = {
            "user": names.user, "group": names.group, "cgroup": names.cgroup
        }  # fmt: skip
        self.forget()

    @property
    def sent_bytes(self) -> int:
        """What those that it has take."""
        return self._text_bytes + _NAME_BYTES * (len(self._sent) + len(self._sent_places))

    def forget(self) -> None:
        """It has none any more."""
        self._sent: set[tuple[str, int]] = set()
        self._sent_places: set[bytes] = set()
        self._text_bytes = 0

    def of(self, entries: Sequence[tuple[Entry, Beside]]) -> Iterator[tuple[str, int, str]]:
        """Sort, number and name of each that these entries need and that is known."""
        for entry, beside in entries:
            if not isinstance(entry, Applied):
                continue
            yield from self._new("user", entry.event.uid)
            yield from self._new("group", entry.event.gid)
            for place in (entry.image.place, beside.place):
                if place and place not in self._sent_places:
                    yield from self._of_place(place)

    def _of_place(self, packed: bytes) -> Iterator[tuple[str, int, str]]:
        place = self._places.read(packed)
        numbers = (
            ("user", place.real_uid), ("group", place.real_gid), ("cgroup", place.cgroup_id)
        )  # fmt: skip
        for sort, number in numbers:
            yield from self._new(sort, number)
        if all(number in self._sent for number in numbers):
            self._sent_places.add(packed)

    def _new(self, sort: str, number: int) -> Iterator[tuple[str, int, str]]:
        if (sort, number) not in self._sent:
            name = self._lookups[sort](number)
            if name is not None:
                self._sent.add((sort, number))
                self._text_bytes += path_bytes(name)
                yield sort, number, name
