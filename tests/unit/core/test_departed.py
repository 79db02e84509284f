"""agentd.core.departed"""

from __future__ import annotations

from agentd.core.departed import Departed, Evictions
from agentd.core.process import Image, Process, Unknown

IMAGE = Image(b"x", b"/x", b"x\0", 1)


def _process(tgid: int, creator: Process | None = None) -> Process:
    process = Process((tgid, tgid), (0, 0), IMAGE, executed=True, creator=creator)
    if creator is not None:
        creator.children += 1
    return process


def _departed(capacity: int = 1, ancestors: int = 10) -> Departed:
    return Departed(capacity, 1 << 60, ancestors)


def test_an_ancestor_stays_for_those_it_created() -> None:
    """Out of the LRU it is found as long as one of them is in the tree, then it goes with it."""
    departed = _departed()
    parent = _process(1)
    child = _process(2, parent)
    departed.remember(parent, 10)
    departed.remember(child, 20)
    assert departed.get((1, 1)) is parent
    assert (departed.recent, departed.ancestors) == (1, 1)
    departed.remember(_process(3), 30)
    assert departed.get((1, 1)) is None
    assert departed.evictions[Evictions.ANCESTOR_NEEDLESS] == 1
    assert departed.evictions[Evictions.EXITED_CAPACITY] == 1


def test_a_chain_goes_from_its_end() -> None:
    """Each of a long chain stays for the next, and all go with the last, however deep it is."""
    departed = _departed(ancestors=5000)
    last = _process(1)
    for tgid in range(2, 4000):
        departed.remember(last, tgid)
        last = _process(tgid, last)
    assert departed.ancestors == 3997
    departed.evict(last, Evictions.LIVE_CAPACITY)
    departed.remember(_process(9000), 9000)
    assert (departed.recent, departed.ancestors) == (1, 0)


def test_ancestors_are_bounded() -> None:
    """The oldest goes first, and who it created knows why it is not known."""
    departed = _departed(ancestors=1)
    grandparent = _process(1)
    parent = _process(2, grandparent)
    child = _process(3, parent)
    for tgid, process in enumerate((grandparent, parent, _process(9))):
        departed.remember(process, tgid)
    assert departed.get((1, 1)) is None
    assert departed.evictions[Evictions.ANCESTOR_CAPACITY] == 1
    assert child.creator is parent
    assert grandparent.creator is None


def test_nothing_is_kept_without_room() -> None:
    """With no room at all, everything goes at once, by its reason."""
    departed = _departed(capacity=0, ancestors=0)
    parent = _process(1)
    child = _process(2, parent)
    departed.remember(parent, 1)
    departed.remember(child, 2)
    assert (departed.recent, departed.ancestors) == (0, 0)
    assert departed.evictions[Evictions.ANCESTOR_CAPACITY] == 1
    assert child.gap == Unknown.EVICTED
