"""agentd.core.tree.exited"""

from __future__ import annotations

from agentd.core.tree.exited import Departed, Evictions
from agentd.core.tree.process import Image, Process

IMAGE = Image(b"x", b"/x", b"x\0", 1)


def _process(tgid: int, creator: Process | None = None) -> Process:
    process = Process((tgid, tgid), (0, 0), IMAGE, executed=True, creator=creator)
    if creator is not None:
        creator.children += 1
    return process


def _departed(
    capacity: int = 1,
    ancestors: int = 10,
    chain: list[Process] | None = None,
    live_capacity: int = 10,
) -> Departed:
    def living() -> list[Process]:
        return [process for process in chain or [] if not process.exited_ns]

    return Departed(capacity, 1 << 60, ancestors, living, live_capacity)


def _chain(length: int, first: int = 1000) -> list[Process]:
    """Processes that each created the next."""
    chain = [_process(first)]
    for tgid in range(first + 1, first + length):
        chain.append(_process(tgid, chain[-1]))
    return chain


def _remember(departed: Departed, *processes: Process) -> None:
    for process in processes:
        departed.remember(process, process.key[1])


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


def test_ancestors_of_exited_ones_are_bounded() -> None:
    """The oldest go first, some more than must be, and who they created knows why."""
    departed = _departed(ancestors=80)
    pairs = [_chain(2, first) for first in range(1000, 1500, 5)]
    for parent, _ in pairs:
        departed.remember(parent, parent.key[1])
        assert departed.ancestors <= 80
    assert departed.evictions[Evictions.ANCESTOR_CAPACITY] >= 19
    known = [departed.get(parent.key) is not None for parent, _ in pairs]
    assert known == sorted(known)
    assert pairs[0][1].creator is pairs[0][0]


def test_ancestors_of_those_that_live_stay() -> None:
    """However many exited ones there are whose ancestors have to go."""
    chain = _chain(100)
    above = chain[:-1]
    departed = _departed(ancestors=64, chain=chain, live_capacity=1000)
    _remember(departed, *above)
    for first in range(2000, 4000, 5):
        departed.remember(_chain(2, first)[0], first)
        assert departed.ancestors <= 64 + 100
    assert all(departed.get(process.key) is process for process in above)
    assert departed.evictions[Evictions.ANCESTOR_CAPACITY] > 0


def test_the_nearest_ancestors_stay_where_there_are_too_many() -> None:
    """One that is followed by its child for ever does not take all memory."""
    chain = _chain(1000)
    above = chain[:-1]
    departed = _departed(ancestors=64, chain=chain, live_capacity=200)
    _remember(departed, *above)
    assert departed.ancestors <= 200 + 2 * 64
    assert all(departed.get(process.key) is process for process in above[-200:])
    assert departed.get(above[0].key) is None


def test_who_has_exited_is_known_a_little_longer() -> None:
    """The bare key of one that was dropped for room, for two seconds at least, four at most."""
    departed = _departed(capacity=0, ancestors=0)
    second_ns = 1_000_000_000
    departed.expire(10 * second_ns)
    departed.remember(_process(1), 10 * second_ns)
    assert departed.get((1, 1)) is None
    assert departed.has_exited((1, 1))
    assert not departed.has_exited((1, 2))
    for tenths in range(100, 150):
        departed.expire(tenths * second_ns // 10)
        assert departed.has_exited((1, 1)) or tenths > 120
    assert not departed.has_exited((1, 1))
    for tgid in range(2, 30):  # though it has just been asked, and however often that is
        departed.remember(_process(tgid), 15 * second_ns)
        assert departed.has_exited((tgid, tgid))
        assert not departed.has_exited((tgid + 1, tgid + 1))


def test_keys_of_hosts_that_run_for_years_are_told_apart() -> None:
    """Of any pid, and of starts that take more bits than are kept."""
    departed = _departed(capacity=0, ancestors=0)
    year_ns = 365 * 86_400 * 1_000_000_000
    exited = [(tgid, age * year_ns + tgid) for tgid in (1, 4_194_303) for age in (1, 3, 100)]
    for key in exited:
        departed.remember(Process(key, (0, 0), IMAGE, executed=True), 1)
    for tgid, start_ns in exited:
        assert departed.has_exited((tgid, start_ns))
        assert not departed.has_exited((tgid, start_ns + 1))
        assert not departed.has_exited((tgid - 1, start_ns))


def test_nothing_is_kept_without_room() -> None:
    """With no room for the exited, who created nobody goes at once."""
    departed = _departed(capacity=0, ancestors=0)
    departed.remember(_process(1), 1)
    assert (departed.recent, departed.ancestors) == (0, 0)
    assert departed.evictions[Evictions.EXITED_CAPACITY] == 1


def test_who_needs_whom_is_looked_at_seldom() -> None:
    """Once for half as many ancestors as there may be: however many live, each that comes pays for
    a few of them.
    """
    capacity, comers = 1000, 10_000
    departed = _departed(ancestors=capacity)
    for tgid in range(1, comers + 1):
        parent = _process(2 * tgid)
        parent.children = 1  # somebody whom nobody needs who lives
        departed.remember(parent, tgid)
        assert departed.ancestors <= capacity
    assert departed.walks_total <= comers // (capacity // 2) + 1
