"""agentd.front.feed, agentd.front.entries and agentd.front.stream: from the daemon to followers"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Image
from agentd.core.tree.reconcile import Inferred
from agentd.core.tree.tree import Tree
from agentd.core.wire.events import Event, Lost
from agentd.filters.facts import FactFinder
from agentd.filters.language import parse_filter
from agentd.filters.patterns import QuestionSearch
from agentd.front import feed
from agentd.front.feed import Feeds
from agentd.front.stream import Stream
from agentd.front.subscribers import Follower
from agentd.front.usage import Interval
from agentd.runtime.packing import unpack
from agentd.sinks.render.ecs import EcsRenderer
from tests.records import FORK, TICK_NS, WIRE, execed, exited, fork, lost, place, tree_limits

BOOT_ID = "0123456789abcdef" * 2
NAMES = Names({7: "/a.slice/b.service"}.get, {1000: "alice"}.get, {1000: "staff"}.get)
SHELL: dict[str, Any] = {"tgid": 10, "start_boottime_ns": TICK_NS, "uid": 1000, "gid": 1000}
CHILD: dict[str, Any] = SHELL | {
    "tgid": 11, "start_boottime_ns": 2 * TICK_NS,
    "parent_tgid": 10, "parent_start_boottime_ns": TICK_NS,
}  # fmt: skip
BEFORE = Image(b"y", b"/bin/y", b"y\0", 1)
INFERRED = Inferred(
    99, FORK, (7, 8), (1, 5), Image(b"x", b"", b"", 0), BEFORE, (1, 2), before=BEFORE
)


class Host:
    """A tree, what happened in it, and a stream of that to the front."""

    def __init__(self) -> None:
        self.tree = Tree(tree_limits(), TICK_NS)
        self.feeds = Feeds(self.tree, WIRE, NAMES)
        self.stream = Stream(WIRE, BOOT_ID[:16], self._hand_over)
        self.sequence = 0
        self.entries: list[Entry] = []

    def _hand_over(self, sock: socket.socket) -> None:
        self.feeds.add(sock.detach())

    def see(self, *events: Event | Lost | Inferred) -> None:
        """They leave in one round."""
        entries: list[Entry] = []
        for event in events:
            entry = event if isinstance(event, Lost | Inferred) else self.tree.apply(event)
            if isinstance(entry, Applied | Lost | Inferred):
                entries.append(entry)
        self.feeds.offer(Batch(entries, self.sequence, 5))
        self.sequence += len(entries)
        self.entries += entries


def _happening(*events: Event | Lost | Inferred) -> tuple[Event | Lost | Inferred, ...]:
    """A shell that runs something in a unit, and a child of it that does not."""
    return (
        fork(boottime_ns=1, **SHELL),
        execed(b"/bin/sh", b"sh\0", place=place(cgroup_id=7), session=10, boottime_ns=2, **SHELL),
        fork(boottime_ns=3, **CHILD),
        *events,
        exited(boottime_ns=9, exit_code=9, utime_ns=4, **CHILD),
    )


def _run(test: Callable[[Host], Awaitable[None]]) -> None:
    async def main() -> None:
        host = Host()
        async with asyncio.timeout(60):
            await test(host)
        host.feeds.close()

    asyncio.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_followers_get_what_a_sink_writes() -> None:
    """To the byte: events with names and places, losses, and what was inferred."""

    async def test(host: Host) -> None:
        renderer = EcsRenderer(WIRE, BOOT_ID, 4096, host.stream.names)
        follower = Follower(lambda facts: True, renderer)
        with host.stream.following(follower):
            await _until(lambda: bool(host.feeds._feeds))
            host.see(*_happening(lost(5), INFERRED))
            data = b""
            while data.count(b"\n") < len(host.entries):
                data += await follower.lines()
        sink = EcsRenderer(WIRE, BOOT_ID, 4096, NAMES)
        assert data == sink.render(Batch(host.entries, 0, 5))

    _run(test)


def test_filters_know_what_the_tree_knows() -> None:
    """The session, and where one runs whose own image does not say so."""

    async def test(host: Host) -> None:
        facts = FactFinder(host.tree, WIRE, NAMES, BOOT_ID[:16])
        seen: list[Any] = []

        def note(found: Any) -> bool:
            seen.append(found)
            return False

        follower = Follower(note, EcsRenderer(WIRE, BOOT_ID, 4096, NAMES))
        with host.stream.following(follower):
            await _until(lambda: bool(host.feeds._feeds))
            host.see(*_happening()[:3])
            await _until(lambda: len(seen) == 3)
        applied = [entry for entry in host.entries if isinstance(entry, Applied)]
        assert seen == [facts.of_event(entry) for entry in applied]
        assert parse_filter('unit = "b.service" and user = alice').verdict(
            seen[-1], QuestionSearch()
        )

    _run(test)


def test_what_a_filter_had_no_time_for_is_flagged() -> None:
    """The event passes, and its line says whose filter was undecided; a loss is for all."""

    async def test(host: Host) -> None:
        renderer = EcsRenderer(WIRE, BOOT_ID, 4096, host.stream.names)
        verdicts = iter([None, False, True])
        follower = Follower(lambda facts: next(verdicts), renderer)
        with host.stream.following(follower):
            await _until(lambda: bool(host.feeds._feeds))
            host.see(*_happening()[:3], lost(5))
            data = b""
            while data.count(b"\n") < 3:
                data += await follower.lines()
        lines = [json.loads(line) for line in data.splitlines()]
        assert [(line["event"]["action"], line["agentd"].get("undecided")) for line in lines] == [
            ("fork", ["follow.filter"]), ("fork", None), ("lost", None)
        ]  # fmt: skip

    _run(test)


def test_work_of_an_interval() -> None:
    """Is that of the events, where they ran."""

    async def test(host: Host) -> None:
        interval, killed = Interval(), Interval()
        with (
            host.stream.adding(interval, None),
            host.stream.adding(killed, lambda entry: isinstance(entry, Lost)),
        ):
            await _until(lambda: bool(host.feeds._feeds))
            host.see(*_happening())
            await _until(lambda: "/bin/sh" in interval.executables.named)
            await _until(lambda: interval.executables.named["/bin/sh"].exits == 1)
        line = interval.line(1.0, 4096)
        assert line["units"]["b.service"] | {"cpu_seconds": 0} == {
            "execs": 1, "exits": 1, "cpu_seconds": 0, "peak_rss_bytes": 4096
        }  # fmt: skip
        assert not killed.executables.named

    _run(test)


def test_what_does_not_fit_is_reported(monkeypatch: Any) -> None:
    """A reader that stops holds up nothing: what it missed it finds as losses, all of it."""
    monkeypatch.setattr(feed, "_QUEUE_BYTES_MAX", 100_000)
    many = 6000

    async def test(host: Host) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        host.feeds.add(theirs.detach())
        for number in range(many):
            host.see(fork(seq=number, tgid=number + 1, start_boottime_ns=(number + 1) * TICK_NS))
        told, missed = 0, 0
        while told + missed < many:
            try:
                frame = ours.recv(1 << 20)
            except BlockingIOError:
                await asyncio.sleep(0)
                host.see(INFERRED)
                continue
            for kind, entry, *_ in unpack(frame)[4]:
                told += kind >= 0
                missed += entry[3] if kind == -1 else 0
        assert missed > 0
        assert told + missed == many
        ours.close()
        host.see(INFERRED)
        assert not host.feeds._feeds

    _run(test)


def test_names_that_both_sides_have_are_bounded(monkeypatch: Any) -> None:
    """In bytes: long paths of cgroups are forgotten and sent again; each line has its own."""
    monkeypatch.setattr(feed, "_NAMES_BYTES_MAX", 20_000)
    names = Names(lambda number: f"/{number:d<4000}", {1000: "alice"}.get, {1000: "staff"}.get)

    async def test(host: Host) -> None:
        host.feeds = Feeds(host.tree, WIRE, names)
        renderer = EcsRenderer(WIRE, BOOT_ID, 4096, host.stream.names)
        follower = Follower(lambda facts: True, renderer)
        with host.stream.following(follower):
            await _until(lambda: bool(host.feeds._feeds))
            for number in range(50):
                packed = place(cgroup_id=number + 1)
                host.see(execed(b"/bin/sh", b"sh\0", place=packed, seq=number, **SHELL))
            data = b""
            while data.count(b"\n") < 50:
                data += await follower.lines()
        assert data == EcsRenderer(WIRE, BOOT_ID, 4096, names).render(Batch(host.entries, 0, 5))
        assert len(host.stream._lookups["cgroup"]) <= 6

    _run(test)


def test_nobody_follows() -> None:
    """A feed is closed with its last reader, and nothing is packed any more."""

    async def test(host: Host) -> None:
        with host.stream.adding(Interval(), None):
            await _until(lambda: bool(host.feeds._feeds))
        await asyncio.sleep(0.01)
        host.see(*_happening())
        assert not host.feeds._feeds

    _run(test)


def test_a_socket_that_is_none() -> None:
    """Of another type it is refused."""
    host = Host()
    ours, theirs = socket.socketpair()
    with ours:
        host.feeds.add(theirs.detach())
        assert ours.recv(1) == b""
        assert not host.feeds._feeds
