"""agentd.core.tree.tree"""

from __future__ import annotations

from typing import Any

from agentd.core.tree.process import Image, Key, Process, Unknown
from agentd.core.tree.tree import Tree
from tests.records import TICK_NS, execed, exited, fork, tree_limits

BEGUN_NS = 100
A: dict[str, Any] = {"tgid": 10, "start_boottime_ns": 5 * TICK_NS + 3}
B: dict[str, Any] = {"tgid": 11, "start_boottime_ns": 6 * TICK_NS + 4}
CHILD_OF_A: dict[str, Any] = {"parent_tgid": 10, "parent_start_boottime_ns": 5 * TICK_NS + 3}
A_KEY: Key = (10, 5 * TICK_NS + 3)
B_KEY: Key = (11, 6 * TICK_NS + 4)
COMM = b"a".ljust(16, b"\0")


def _tree(live: int = 100, exited_capacity: int = 100) -> Tree:
    return Tree(tree_limits(live_capacity=live, exited_capacity=exited_capacity), TICK_NS)


def _coarse(tgid: int, ticks: int) -> Process:
    image = Image(b"seeded", b"/bin/seeded", b"seeded\0", 1)
    return Process((tgid, ticks * TICK_NS), (1, 0), image, executed=True, coarse=True)


def test_a_child_inherits_its_parents_image() -> None:
    """Between fork and exec a process runs what its parent runs, under its own key."""
    tree = _tree()
    tree.apply(fork(**A))
    tree.apply(execed(b"/bin/a", b"a\0", comm=COMM, **A))
    child = tree.apply(fork(comm=COMM, **B, **CHILD_OF_A))
    assert child is not None
    assert child.image is child.parent_image
    assert child.image.executable == b"/bin/a"


def test_first_exec_is_a_start_the_second_a_change() -> None:
    """An exec changes a process only if it had an image of its own."""
    tree = _tree()
    tree.apply(fork(**A))
    changed = [applied.changed for _ in range(2) if (applied := tree.apply(execed(**A)))]
    assert changed == [False, True]


def test_a_child_made_for_somebody_else() -> None:
    """With CLONE_PARENT creator and parent are two, and what the child runs it has from the one."""
    tree = _tree()
    tree.apply(fork(**A))
    tree.apply(execed(b"/bin/a", b"a\0", comm=COMM, **A))
    tree.apply(fork(comm=COMM, **B, **CHILD_OF_A))
    tree.apply(execed(b"/bin/b", b"b\0", comm=COMM, session=77, process_group=78, **B))
    made: dict[str, Any] = {"tgid": 12, "start_boottime_ns": 7 * TICK_NS}
    creator = {"creator_tgid": B_KEY[0], "creator_start_boottime_ns": B_KEY[1]}
    applied = tree.apply(fork(comm=COMM, **made, **CHILD_OF_A, **creator))
    assert applied is not None
    assert applied.parent_image is not None
    assert (applied.image.executable, applied.parent_image.executable) == (b"/bin/b", b"/bin/a")
    child = tree.living.at(12)
    assert child is not None
    assert child.parent == A_KEY
    assert child.creator is tree.living.at(11)
    assert (child.session, child.process_group) == (77, 78)


def test_a_creator_that_is_not_known() -> None:
    """The parent does not stand in for it, and why it is unknown is said."""
    tree = _tree()
    tree.doubts.begun_ns = BEGUN_NS
    tree.apply(fork(**A))
    creator = {"creator_tgid": 9, "creator_start_boottime_ns": BEGUN_NS - 1}
    tree.apply(fork(**B, **CHILD_OF_A, **creator))
    child = tree.living.at(11)
    assert child is not None
    assert (child.creator, child.gap) == (None, "before_start")


def test_an_exited_process_is_remembered() -> None:
    """After its exit a process is no longer live, but still found."""
    tree = _tree()
    tree.apply(fork(**A))
    tree.apply(exited(exit_code=256, **A))
    assert (len(tree.living), tree.departed.recent) == (0, 1)
    found = tree.find(A_KEY)
    assert found is not None
    assert found.exit_code == 256


def test_a_second_exit_is_a_duplicate() -> None:
    """The second exit of a process is dropped and counted."""
    tree = _tree()
    tree.apply(fork(**A))
    assert tree.apply(exited(**A)) is not None
    assert tree.apply(exited(**A)) is None
    assert tree.duplicate_exits_total == 1


def test_a_late_fork_does_not_bring_back_the_dead() -> None:
    """A fork that comes after its process's exit is counted, and the process stays dead."""
    tree = _tree()
    tree.apply(exited(**A))
    tree.apply(fork(**A))
    assert len(tree.living) == 0
    assert tree.misses["fork_after_exit"] == 1


def test_a_late_fork_of_one_that_nobody_remembers() -> None:
    """The bare keys of exits are kept for as long as a fork may still come."""
    tree = _tree(exited_capacity=0)
    tree.apply(exited(**A))
    assert tree.find(A_KEY) is None
    tree.apply(fork(**A))
    assert len(tree.living) == 0
    assert tree.misses["fork_after_exit"] == 1


def test_a_late_fork_does_not_undo_an_exec() -> None:
    """A fork that comes after its process's exec changes nothing."""
    tree = _tree()
    tree.apply(execed(b"/bin/a", **A))
    tree.apply(fork(**A))
    found = tree.find(A_KEY)
    assert found is not None
    assert found.image.executable == b"/bin/a"
    assert tree.misses["exit_missed"] == 0


def test_a_pid_used_again_is_another_process() -> None:
    """The owner that was not seen to leave is remembered apart from the new one."""
    tree = _tree()
    tree.apply(fork(**A))
    tree.apply(fork(tgid=10, start_boottime_ns=9 * TICK_NS))
    old, new = tree.find(A_KEY), tree.find((10, 9 * TICK_NS))
    assert old is not None
    assert new is not None
    assert old is not new
    assert tree.misses["exit_missed"] == 1


def test_a_pid_of_somebody_outside_is_used_again() -> None:
    """Whose end a filter leaves out was not missed."""
    tree = _tree()
    outsider = Process(A_KEY, (0, 0), Image(b"out", b"", b"", 0), executed=True, inside=False)
    tree.seed([outsider], begun_ns=10 * TICK_NS)
    tree.apply(fork(tgid=10, start_boottime_ns=20 * TICK_NS))
    assert tree.living.at(10) is not outsider
    assert tree.misses["exit_missed"] == 0


def test_a_delayed_exit_does_not_close_the_next_owner() -> None:
    """The exit of a pid's old owner leaves the new one alive."""
    tree = _tree()
    tree.apply(fork(**A))
    tree.apply(fork(tgid=10, start_boottime_ns=9 * TICK_NS))
    tree.apply(exited(**A))
    new = tree.find((10, 9 * TICK_NS))
    assert new is not None
    assert new.exit_code is None
    assert len(tree.living) == 1


def test_a_seeded_process_takes_its_exact_key() -> None:
    """The first event that names a seeded process makes its key exact."""
    tree = _tree()
    tree.seed([_coarse(10, 5)], BEGUN_NS)
    child = tree.apply(fork(**B, **CHILD_OF_A))
    assert child is not None
    assert child.parent_image is not None
    assert child.parent_image.name == b"seeded"
    found = tree.find(A_KEY)
    assert found is not None
    assert (found.key, found.coarse) == (A_KEY, False)


def test_a_seeded_process_of_another_tick_is_not_taken() -> None:
    """A key from another tick is another process."""
    tree = _tree()
    tree.seed([_coarse(10, 4)], BEGUN_NS)
    assert tree.find(A_KEY) is None


def test_events_from_before_the_scan_do_not_displace_what_it_saw() -> None:
    """While the ring still tells of a pid's former owner, the scanned one stays."""
    tree = _tree()
    tree.seed([_coarse(10, 9)], BEGUN_NS)
    tree.apply(fork(**A))
    tree.apply(exited(**A))
    assert tree.misses["exit_missed"] == 0
    assert len(tree.living) == 1


def test_a_scanned_process_whose_fork_comes_later_starts_over() -> None:
    """What was forked between attaching and the scan is told from its fork on."""
    tree = _tree()
    tree.seed([_coarse(10, 5)], BEGUN_NS)
    tree.apply(fork(**A))
    applied = tree.apply(execed(**A))
    assert applied is not None
    assert not applied.changed
    assert len(tree.living) == 1


def _seeded(tree: Tree, *seen: tuple[Process, bytes, int]) -> None:
    """Processes with the path that they were seen to run, and when."""
    for process, path, seen_ns in seen:
        process.image = process.image._replace(executable=path)
        process.verified_ns = seen_ns
    tree.seed([process for process, *_ in seen], BEGUN_NS)


def _runs(tree: Tree, key: Key) -> tuple[bytes, list[bytes]]:
    """What a process runs, and what it ran before, the newest first."""
    process = tree.find(key)
    assert process is not None
    past, ran = [], process.past
    while ran is not None:
        past.append(ran.image.executable)
        ran = ran.before
    return process.image.executable, past


def test_events_older_than_the_scan_do_not_undo_what_it_saw() -> None:
    """A forks B and execs, both are seen then, and the events come last: B runs what it was seen
    to run, and what A was seen to run is nothing that it ran before.
    """
    tree = _tree()
    _seeded(tree, (_coarse(10, 5), b"/bin/new", 300), (_coarse(11, 6), b"/bin/old", 310))
    applied = tree.apply(fork(boottime_ns=100, **B, **CHILD_OF_A))
    assert applied is not None
    assert applied.image.executable == b"/bin/old"
    tree.apply(execed(b"/bin/new", boottime_ns=200, **A))
    assert _runs(tree, A_KEY) == (b"/bin/new", [])
    assert _runs(tree, B_KEY) == (b"/bin/old", [])
    a, b = tree.find(A_KEY), tree.find(B_KEY)
    assert a is not None
    assert b is not None
    assert (a.image_ns, b.creator, a.children, b.gap) == (200, a, 1, Unknown.KNOWN)


def test_two_execs_older_than_the_scan() -> None:
    """The first is what it ran before; what it was seen to run is the second."""
    tree = _tree()
    _seeded(tree, (_coarse(10, 5), b"/bin/b", 300))
    tree.apply(execed(b"/bin/a", boottime_ns=100, **A))
    assert _runs(tree, A_KEY) == (b"/bin/b", [b"/bin/a"])
    tree.apply(execed(b"/bin/b", b"b\0", boottime_ns=200, **A))
    assert _runs(tree, A_KEY) == (b"/bin/b", [b"/bin/a"])
    tree.apply(execed(b"/bin/c", boottime_ns=400, **A))
    assert _runs(tree, A_KEY) == (b"/bin/c", [b"/bin/b", b"/bin/a"])


def test_two_execs_of_one_file_older_than_the_scan() -> None:
    """Which of them was seen tells the one that comes last."""
    tree = _tree()
    _seeded(tree, (_coarse(10, 5), b"/bin/sh", 300))
    tree.apply(execed(b"/bin/sh", b"sh\0FIRST\0", boottime_ns=100, **A))
    tree.apply(execed(b"/bin/sh", b"sh\0SECOND\0", boottime_ns=200, **A))
    process = tree.find(A_KEY)
    assert process is not None
    assert (process.image.args, process.image_ns) == (b"sh\0SECOND\0", 200)
    assert process.past is not None
    assert process.past.image.args == b"sh\0FIRST\0"


def test_a_late_exec_is_one_before() -> None:
    """One that comes after a younger one of its process does not undo that."""
    tree = _tree()
    tree.apply(execed(b"/bin/b", boottime_ns=200, **A))
    tree.apply(execed(b"/bin/a", boottime_ns=100, **A))
    assert _runs(tree, A_KEY) == (b"/bin/b", [b"/bin/a"])


def test_a_child_of_a_parent_that_was_seen_later() -> None:
    """Forked unseen by the scan under another name than its parent's, nobody knows what it runs."""
    tree = _tree()
    _seeded(tree, (_coarse(10, 5), b"/bin/new", 300))
    applied = tree.apply(fork(boottime_ns=100, comm=b"older".ljust(16, b"\0"), **B, **CHILD_OF_A))
    assert applied is not None
    assert (applied.image.name, applied.image.executable) == (b"older", b"")
    tree.apply(execed(b"/bin/b", boottime_ns=150, **B))
    assert _runs(tree, B_KEY) == (b"/bin/b", [b""])


def test_a_seed_that_comes_after_events() -> None:
    """Who is known exactly stays so, and who exited meanwhile stays dead; nothing is missed."""
    tree = _tree()
    tree.watched_exits.begin()
    tree.apply(execed(b"/bin/a", boottime_ns=100, **A))
    tree.apply(exited(boottime_ns=100, **B))
    _seeded(tree, (_coarse(10, 5), b"/bin/b", 300), (_coarse(11, 6), b"/bin/x", 90))
    found = tree.living.at(10)
    assert found is not None
    assert (found.key, found.coarse) == (A_KEY, False)
    assert _runs(tree, A_KEY) == (b"/bin/a", [])  # its exec of b is still to be read
    assert tree.misses["exit_missed"] == 0
    assert len(tree.living) == 1


def test_an_event_younger_than_the_seed_stands() -> None:
    """The seed of a process that has exec'd since it was seen changes nothing."""
    tree = _tree()
    tree.apply(execed(b"/bin/a", boottime_ns=400, **A))
    _seeded(tree, (_coarse(10, 5), b"/bin/old", 300))
    assert _runs(tree, A_KEY) == (b"/bin/a", [])


def test_live_processes_are_bounded() -> None:
    """Above its capacity the tree drops the process it has known longest, and counts it."""
    tree = _tree(live=2)
    for tgid in (10, 11, 12):
        tree.apply(fork(tgid=tgid))
    assert len(tree.living) == 2
    assert tree.departed.evictions["live_capacity"] == 1
    assert tree.find((10, 900)) is None


def test_exited_processes_are_bounded() -> None:
    """Exited processes leave in order of use, counted."""
    tree = _tree(exited_capacity=2)
    for tgid in (10, 11, 12):
        tree.apply(exited(tgid=tgid))
    assert tree.departed.recent == 2
    assert tree.departed.evictions["exited_capacity"] == 1


def test_nothing_needs_to_be_remembered() -> None:
    """A capacity of 0 remembers no exited process."""
    tree = _tree(exited_capacity=0)
    tree.apply(fork(**A))
    tree.apply(exited(**A))
    assert (len(tree.living), tree.departed.recent) == (0, 0)


def test_unknown_processes_are_counted() -> None:
    """Events of processes or parents nobody knows are counted by reason, never raised."""
    tree = _tree()
    tree.apply(fork(**A))
    tree.apply(execed(**B))
    tree.apply(exited(tgid=12))
    assert tree.misses["fork_parent_unknown"] == 1
    assert tree.misses["exec_unknown"] == 1
    assert tree.misses["exit_unknown"] == 1


def test_nobody_is_the_parent_of_the_first() -> None:
    """A parent of tgid 0 is no miss: there is none."""
    tree = _tree()
    tree.apply(fork(parent_tgid=0, parent_start_boottime_ns=0, **A))
    assert tree.misses["fork_parent_unknown"] == 0


def test_a_late_fork_has_what_its_parent_ran_then() -> None:
    """And not what the parent has exec'd since, though that has the same name."""
    tree = _tree()
    tree.apply(fork(**A))
    tree.apply(execed(b"/bin/a", b"a\0one\0", comm=COMM, boottime_ns=10, **A))
    tree.apply(execed(b"/bin/a", b"a\0two\0", comm=COMM, boottime_ns=30, **A))
    for at_ns, args in ((20, b"a\0one\0"), (30, b"a\0two\0")):
        applied = tree.apply(fork(comm=COMM, boottime_ns=at_ns, **B, **CHILD_OF_A))
        assert applied is not None
        assert applied.image.args == args


def test_what_was_forked_after_a_late_exec_is_suspect() -> None:
    """It has what its parent ran before; with an exec in time, nobody is suspect."""
    for late in (False, True):
        tree = _tree()
        tree.apply(fork(**A))
        exec_ = execed(b"/bin/a", b"a\0", comm=COMM, boottime_ns=20, **A)
        child = fork(comm=COMM, boottime_ns=30, **B, **CHILD_OF_A)
        for event in (child, exec_) if late else (exec_, child):
            tree.apply(event)
        process = tree.find(B_KEY)
        assert process is not None
        assert tree.doubts.is_suspect(process) == late
