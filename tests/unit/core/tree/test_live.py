"""agentd.core.tree.live"""

from __future__ import annotations

from agentd.core.tree.live import Living
from agentd.core.tree.process import Image, Process

IMAGE = Image(b"x", b"/x", b"x\0", 1)


def _process(tgid: int, start: int = 0, *, children: int = 0) -> Process:
    process = Process((tgid, start), (0, 0), IMAGE, executed=True)
    process.children = children
    return process


def _filled(*processes: Process) -> tuple[Living, list[int]]:
    evicted: list[int] = []
    living = Living(3, 10, lambda process: evicted.append(process.key[0]))
    for process in processes:
        living.insert(process)
    return living, evicted


def test_within_the_bound_nobody_goes() -> None:
    """As many as the capacity live."""
    living, evicted = _filled(*map(_process, (1, 2, 3)))
    assert (len(living), evicted) == (3, [])


def test_above_it_the_oldest_without_children_goes() -> None:
    """Parents stay, one for each that comes another goes."""
    parent = _process(1, children=1)
    living, evicted = _filled(parent, *map(_process, (2, 3, 4, 5)))
    assert evicted == [2, 3]
    assert sorted(process.key[0] for process in living.values()) == [1, 4, 5]


def test_among_parents_only_the_oldest_goes() -> None:
    """The bound holds in any case."""
    _, evicted = _filled(*(_process(tgid, children=1) for tgid in (1, 2, 3, 4)))
    assert evicted == [1]


def test_who_has_gone_is_not_dropped_again() -> None:
    """Candidates that have exited, or whose pid has another owner, are passed over."""
    processes = [_process(tgid) for tgid in (1, 2, 3)]
    living, evicted = _filled(*processes, _process(4))
    living.remove(processes[1])
    living.insert(_process(5))
    living.insert(_process(3, 50))
    living.insert(_process(6))
    assert evicted == [1, 4]
    assert sorted(process.key[0] for process in living.values()) == [3, 5, 6]


def test_the_owner_of_a_pid_and_who_must_have_gone() -> None:
    """The one that began later stays, whoever was first to be told."""
    living, _ = _filled(first := _process(1, 10))
    second = _process(1, 20)
    assert living.insert(second) is first
    assert living.insert(late := _process(1, 10)) is late
    assert living.at(1) is second


def test_how_many_are_looked_at_is_bounded() -> None:
    """Where everybody has a child, dropping one looks at a few and not at all that live."""
    capacity, more = 5000, 500
    living = Living(capacity, 10, lambda process: None)
    for tgid in range(1, capacity + more + 1):
        living.insert(_process(tgid, children=1))
    assert len(living) == capacity
    assert living.looked_at_total <= 64 * more
