"""The tree, whatever is lost, late or dropped for room: a look at /proc makes it right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentd.core.tree.proc_compare import Observed
from agentd.core.tree.process import SOMEBODY, Image, Process
from agentd.core.tree.reconcile import Comparison, Inferred, Kinds, Scan
from agentd.core.tree.tree import Tree
from agentd.core.wire.events import Event
from agentd.core.wire.exec_context import PlaceReader
from tests.records import (
    EXEC,
    EXIT,
    FORK,
    TICK_NS,
    WIRE,
    execed,
    exited,
    fork,
    lost,
    tree_limits,
)  # fmt: skip

KINDS = Kinds(FORK, EXEC, EXIT)
PLACES = PlaceReader(WIRE)
FATES = st.sampled_from(["told", "told", "told", "lost", "late"])
CAPACITY = 6


@dataclass
class Real:
    """A process as the kernel has it."""

    tgid: int
    start_ns: int
    parent: Real | None
    executable: bytes
    args: bytes

    def who(self) -> dict[str, Any]:
        """The fields of its events that say who it is."""
        parent = self.parent
        return {
            "tgid": self.tgid,
            "start_boottime_ns": self.start_ns,
            "parent_tgid": parent.tgid if parent else 0,
            "parent_start_boottime_ns": parent.start_ns if parent else 0,
            "comm": b"name".ljust(16, b"\0"),
        }

    def seen(self, now_ns: int) -> Observed:
        """What /proc shows of it."""
        parent = self.parent
        above = (parent.tgid, parent.start_ns // TICK_NS * TICK_NS) if parent else (0, 0)
        process = Process(
            (self.tgid, self.start_ns // TICK_NS * TICK_NS), above,
            Image(b"name", self.executable, self.args, self.args.count(b"\0")),
            executed=True, coarse=True, verified_ns=now_ns,
        )  # fmt: skip
        return Observed(process, 0, 0)


class Lossy(RuleBasedStateMachine):
    """Events that are told, lost, or told too late; a tree with little room; and looks at /proc."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1000 * TICK_NS
        self.late: list[Event] = []
        self.alive: dict[int, Real] = {}

    def _next_ns(self, ticks: int = 1) -> int:
        self.now_ns += ticks * TICK_NS
        return self.now_ns

    def _tell(self, event: Event, fate: str) -> None:
        if fate == "told":
            self.tree.apply(event)
        elif fate == "late":
            self.late.append(event)
        else:
            self.tree.doubts.lose(lost(event.boottime_ns))

    def _compare(self, scan: Scan) -> list[Inferred]:
        comparison = Comparison(self.tree, scan, KINDS, PLACES)
        found: list[Inferred] = []
        while not comparison.over:
            found += comparison.advance(self._next_ns())
        return found

    @initialize(exited=st.sampled_from([0, 2, 100]))
    def seed(self, exited: int) -> None:
        """Init ran before."""
        limits = tree_limits(live_capacity=CAPACITY, exited_capacity=exited, ancestor_capacity=0)
        self.tree = Tree(limits, TICK_NS)
        init = self.alive[1] = Real(1, 7, None, b"/sbin/init", b"init\0")
        self.tree.seed([init.seen(self.now_ns).process], self.now_ns)

    @rule(tgid=st.integers(2, 9), data=st.data(), fate=FATES)
    def fork(self, tgid: int, data: st.DataObject, fate: str) -> None:
        """A new process of any that lives."""
        if tgid in self.alive:
            return
        parent = self.alive[data.draw(st.sampled_from(sorted(self.alive)))]
        now_ns = self._next_ns()
        real = self.alive[tgid] = Real(tgid, now_ns - 5, parent, parent.executable, parent.args)
        self._tell(fork(**real.who(), boottime_ns=now_ns), fate)

    @rule(
        data=st.data(), fate=FATES,
        executable=st.sampled_from([b"/bin/a", b"/bin/b"]),
        args=st.sampled_from([b"x\0one\0", b"x\0two\0"]),
    )  # fmt: skip
    def execute(self, data: st.DataObject, fate: str, executable: bytes, args: bytes) -> None:
        """Another image, perhaps out of the same file."""
        real = self.alive[data.draw(st.sampled_from(sorted(self.alive)))]
        real.executable, real.args = executable, args
        self._tell(execed(executable, args, **real.who(), boottime_ns=self._next_ns()), fate)

    @rule(data=st.data(), fate=FATES, is_found=st.booleans())
    def exit(self, data: st.DataObject, fate: str, is_found: bool) -> None:
        """An end of anybody but init, who adopts its children, found by the programs or not."""
        tgid = data.draw(st.sampled_from(sorted(self.alive)))
        if tgid == 1:
            return
        real = self.alive.pop(tgid)
        init = self.alive[1]
        orphans = [other for other in self.alive.values() if other.parent is real]
        for other in orphans:
            other.parent = init
        adopter = (init.tgid, init.start_ns) if is_found else SOMEBODY
        names = ("adopter_tgid", "adopter_start_boottime_ns")
        adopted = dict(zip(names, adopter if orphans else (0, 0), strict=True))
        self._tell(exited(**real.who(), **adopted, boottime_ns=self._next_ns()), fate)

    @rule()
    def come_late(self) -> None:
        """What was held up arrives, in whatever order."""
        while self.late:
            self.tree.apply(self.late.pop())

    @rule(hidden=st.booleans())
    def look(self, hidden: bool) -> None:
        """A look at /proc; afterwards the tree is what it showed, if there is room for all.

        What was late has come by then, or else it is lost.
        """
        self.come_late()
        self.tree.watched_exits.begin()
        begun_ns = self._next_ns()
        seen = tuple(real.seen(self._next_ns()) for real in self.alive.values())
        self._compare(Scan(begun_ns, self._next_ns(), seen, complete=not hidden))
        if hidden or len(self.alive) > CAPACITY:
            return
        known = {process.key[0]: process for process in self.tree.living.values()}
        assert known.keys() == self.alive.keys()
        for tgid, real in self.alive.items():
            process = known[tgid]
            assert process.key[1] // TICK_NS == real.start_ns // TICK_NS
            assert process.image[1:3] == (real.executable, real.args)
            assert not self.tree.doubts.is_suspect(process)
            parent = self.tree.adopters.parent(process)
            above = real.parent
            assert parent[0] == (above.tgid if above else 0)
        assert self._compare(Scan(begun_ns, self.now_ns, seen, complete=True)) == []

    @invariant()
    def holds_together(self) -> None:
        """Within its bounds; nobody who lives, nor a parent of one, has exited; no circles."""
        if not self.alive:
            return
        assert len(self.tree.living) <= CAPACITY
        for process in self.tree.living.values():
            assert not process.exited_ns
            parent = self.tree.find(self.tree.adopters.parent(process))
            assert parent is None or not parent.exited_ns
            met = set()
            above = process.creator
            while above is not None:
                assert id(above) not in met
                met.add(id(above))
                above = above.creator


TestLossy = Lossy.TestCase
TestLossy.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
