"""agentd.core.tree.tree, for any events and against a plain model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from agentd.core.tree.ancestry import ancestors
from agentd.core.tree.process import Image, Key, Process
from agentd.core.tree.tree import Tree
from agentd.core.wire.events import Event
from tests.records import TICK_NS, execed, exited, fork, tree_limits

ids = {
    "tgid": st.integers(1, 5),
    "start_boottime_ns": st.integers(0, 4),
    "parent_tgid": st.integers(0, 5),
    "parent_start_boottime_ns": st.integers(0, 4),
}
any_event = st.one_of(st.builds(fork, **ids), st.builds(execed, **ids), st.builds(exited, **ids))


@given(st.lists(any_event, max_size=60), st.integers(1, 4), st.integers(0, 4))
def test_never_beyond_its_bounds(events: list[Event], live: int, remembered: int) -> None:
    """Whatever comes, in whatever order, the tree stays within its bounds and raises nothing."""
    tree = Tree(tree_limits(live_capacity=live, exited_capacity=remembered), 1)
    for event in events:
        applied = tree.apply(event)
        assert applied is None or applied.event is event
        assert len(tree.living) <= live
        assert tree.departed.recent <= remembered


class GapFree(RuleBasedStateMachine):
    """A stream without gaps: the tree is what a dictionary of processes is.

    However few exited processes are remembered, the ancestors of live ones are known.
    """

    processes: Bundle[Key] = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.remembered = 1000
        self.alive: dict[int, Key] = {}
        self.creator: dict[Key, Key] = {}
        self.images: dict[Key, list[bytes]] = {}
        self.image: dict[Key, bytes] = {}
        self.dead: dict[Key, int] = {}
        self.now_ns = 100 * TICK_NS

    def _next_ns(self) -> int:
        self.now_ns += 1
        return self.now_ns

    @initialize(target=processes, coarse=st.booleans(), remembered=st.sampled_from([0, 1, 3, 1000]))
    def seed(self, coarse: bool, remembered: int) -> Key:
        """A process that ran before."""
        self.remembered = remembered
        self.tree = Tree(tree_limits(exited_capacity=remembered), TICK_NS)
        key = (1, 7 * TICK_NS + 5)
        start_ns = 7 * TICK_NS if coarse else key[1]
        image = Image(b"init", b"/sbin/init", b"init\0", 1)
        self.tree.seed(
            [Process((1, start_ns), (0, 0), image, executed=True, coarse=coarse)], 9 * TICK_NS
        )
        self.alive[1] = key
        self.image[key] = b"/sbin/init"
        self.images[key] = [b"/sbin/init"]
        return key

    @rule(target=processes, parent=processes, tgid=st.integers(2, 6))
    def fork(self, parent: Key, tgid: int) -> Key:
        """A new process, unless its pid is taken or its parent dead."""
        if tgid in self.alive or parent in self.dead:
            return parent
        key = (tgid, self._next_ns())
        applied = self.tree.apply(
            fork(
                tgid=tgid, start_boottime_ns=key[1],
                parent_tgid=parent[0], parent_start_boottime_ns=parent[1],
            )
        )  # fmt: skip
        assert applied is not None
        assert applied.parent_image is not None
        assert applied.image.executable == self.image[parent]
        self.alive[tgid] = key
        self.creator[key] = parent
        self.image[key] = self.image[parent]
        self.images[key] = [self.image[parent]]
        return key

    @rule(key=processes, name=st.sampled_from([b"/bin/a", b"/bin/b"]))
    def execute(self, key: Key, name: bytes) -> None:
        """Another image."""
        if key in self.dead:
            return
        self.tree.apply(execed(name, tgid=key[0], start_boottime_ns=key[1], parent_tgid=0))
        self.image[key] = name
        self.images[key].append(name)

    @rule(key=processes, code=st.integers(0, 65535))
    def exit(self, key: Key, code: int) -> None:
        """An end, of anybody but init."""
        if key in self.dead or key[0] == 1:
            return
        applied = self.tree.apply(
            exited(tgid=key[0], start_boottime_ns=key[1], parent_tgid=0, exit_code=code)
        )
        assert applied is not None
        assert applied.image.executable == self.image[key]
        del self.alive[key[0]]
        self.dead[key] = code

    @invariant()
    def agrees(self) -> None:
        """Everyone is found under their own key, alive or dead, and nothing was missed."""
        assert len(self.tree.living) == len(self.alive)
        if self.remembered < 1000:
            assert self.tree.departed.recent <= self.remembered
        else:
            assert self.tree.departed.recent == len(self.dead)
        for key in self.alive.values():
            found = self.tree.find(key)
            assert found is not None
            assert found.exit_code is None
            assert found.image.executable == self.image[key]
        for key, code in self.dead.items() if self.remembered == 1000 else ():
            found = self.tree.find(key)
            assert found is not None
            assert found.exit_code == code
        assert set(self.tree.misses.values()) == {0}

    @invariant()
    def lines_are_whole(self) -> None:
        """Every live process leads back to the first, by creators, and knows what it ran."""
        for key in self.alive.values():
            process = self.tree.find(key)
            assert process is not None
            expected = []
            above = key
            while above in self.creator:
                above = self.creator[above]
                expected.append(above)
            line = ancestors(self.tree, process)
            assert [ancestor.process.key for ancestor in line] == expected
            assert all(ancestor.is_creator for ancestor in line)
            ran = [process.image.executable]
            past = process.past
            while past is not None:
                ran.append(past.image.executable)
                past = past.before
            everything = self.images[key][::-1]
            assert ran == everything[: len(ran)]
            assert len(ran) + process.past_forgotten == len(everything)
            assert len(ran) > 32 or not process.past_forgotten


TestGapFree = GapFree.TestCase
