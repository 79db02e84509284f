"""agentd.core.tree.reconcile"""

from __future__ import annotations

from typing import Any

import pytest

from agentd.core.redact import Redaction
from agentd.core.tree.proc_compare import Observed
from agentd.core.tree.process import SOMEBODY, Doubt, Image, Key, Notes, Process, Unknown
from agentd.core.tree.reconcile import Comparison, Inferred, Kinds, Scan
from agentd.core.tree.tree import Tree
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
    place,
    tree_limits,
)

KINDS = Kinds(FORK, EXEC, EXIT)
PLACES = PlaceReader(WIRE)
BEGUN_NS, SEEN_NS, ENDED_NS = 1_000 * TICK_NS, 1_001 * TICK_NS, 1_002 * TICK_NS
NOW_NS = ENDED_NS + 1
A: dict[str, Any] = {"tgid": 10, "start_boottime_ns": 5 * TICK_NS + 3}
A_KEY: Key = (10, 5 * TICK_NS + 3)
CHILD: dict[str, Any] = {
    "tgid": 11,
    "start_boottime_ns": 7 * TICK_NS + 1,
    "parent_tgid": 10,
    "parent_start_boottime_ns": 5 * TICK_NS + 3,
}
CHILD_KEY: Key = (11, 7 * TICK_NS + 1)
SHELL = Image(b"sh", b"/bin/sh", b"sh\0", 1)


def _told(image: Image) -> Image:
    """As the tree has what /proc alone says."""
    return image._replace(notes=Notes.FROM_PROC)


def _tree() -> Tree:
    tree = Tree(tree_limits(), TICK_NS)
    tree.apply(
        execed(b"/bin/sh", b"sh\0", boottime_ns=5 * TICK_NS, comm=b"sh".ljust(16, b"\0"), **A)
    )
    tree.watched_exits.begin()
    return tree


def _seen(
    tgid: int, ticks: int, image: Image = SHELL, parent: Key = (1, 0), *, inside: bool = True
) -> Observed:
    """One of uid 7 and gid 8, out of a file with the inode 0."""
    key = (tgid, ticks * TICK_NS)
    process = Process(key, parent, image, executed=True, coarse=True, inside=inside)
    process.verified_ns = SEEN_NS
    return Observed(process, 7, 8)


def _reconcile(tree: Tree, *seen: Observed, complete: bool = True) -> list[Inferred]:
    scan = Scan(BEGUN_NS, ENDED_NS, seen, complete)
    comparison = Comparison(tree, scan, KINDS, PLACES)
    found: list[Inferred] = []
    while not comparison.over:
        found += comparison.advance(NOW_NS)
    return found


def test_a_tree_that_agrees_is_left_alone() -> None:
    """What is known as it is seen is no event."""
    tree = _tree()
    assert _reconcile(tree, _seen(10, 5)) == []
    assert [process.key for process in tree.living.values()] == [A_KEY]


def test_a_process_that_is_not_known_was_forked_unseen() -> None:
    """It is added, below its parent's exact key, and told with what it runs and its user."""
    tree = _tree()
    (found,) = _reconcile(tree, _seen(11, 7, parent=(10, 5 * TICK_NS)), _seen(10, 5))
    assert (found.kind, found.key, found.parent) == (FORK, (11, 7 * TICK_NS), A_KEY)
    assert (found.image, found.user) == (_told(SHELL), (7, 8))
    assert found.parent_image is not None
    assert found.parent_image._replace(place=b"") == SHELL
    assert found.boottime_ns == NOW_NS
    added = tree.find(CHILD_KEY)
    assert added is not None
    assert added.key == CHILD_KEY


def test_parents_are_told_before_their_children() -> None:
    """Whatever order the scan has, who began earlier comes first."""
    tree = _tree()
    late, early = _seen(12, 9, parent=(11, 7 * TICK_NS)), _seen(11, 7, parent=(10, 5 * TICK_NS))
    found = _reconcile(tree, late, early, _seen(10, 5))
    assert [inferred.key[0] for inferred in found] == [11, 12]
    assert found[1].parent_image == _told(SHELL)


def test_a_process_that_is_gone_exited_unseen() -> None:
    """It is closed and told, without an ending."""
    tree = _tree()
    (found,) = _reconcile(tree)
    assert (found.kind, found.key, found.user) == (EXIT, A_KEY, None)
    assert list(tree.living.values()) == []
    remembered = tree.find(A_KEY)
    assert remembered is not None
    assert remembered.exit_code is None


def test_nobody_is_gone_where_processes_are_hidden() -> None:
    """A scan that does not see everything closes nothing."""
    tree = _tree()
    assert _reconcile(tree, complete=False) == []
    assert len(tree.living) == 1


def test_who_began_during_the_scan_need_not_be_in_it() -> None:
    """A process forked after its place in the list was passed is not gone."""
    tree = _tree()
    tree.apply(fork(boottime_ns=SEEN_NS, tgid=20, start_boottime_ns=SEEN_NS))
    assert _reconcile(tree, _seen(10, 5)) == []
    assert len(tree.living) == 2


def test_who_exits_after_it_was_seen_is_not_brought_back() -> None:
    """The exit was told already, of a process known or not."""
    tree = _tree()
    tree.apply(exited(boottime_ns=SEEN_NS + 5, **A))
    tree.apply(exited(boottime_ns=SEEN_NS + 6, **CHILD))
    assert _reconcile(tree, _seen(10, 5), _seen(11, 7)) == []
    assert len(tree.living) == 0


def test_another_image_is_an_exec_unseen() -> None:
    """A process that runs another file than was known has exec'd."""
    tree = _tree()
    other = Image(b"cat", b"/bin/cat", b"cat\0", 1)
    tree.doubts.lose(lost(SEEN_NS - 1))
    (found,) = _reconcile(tree, _seen(10, 5, image=other))
    assert (found.kind, found.key, found.image) == (EXEC, A_KEY, _told(other))
    process = tree.find(A_KEY)
    assert process is not None
    assert (process.image, process.executed) == (_told(other), True)


def test_an_exec_after_the_sight_stands() -> None:
    """What an event told later than the process was seen is not undone."""
    tree = _tree()
    tree.apply(execed(b"/bin/new", boottime_ns=SEEN_NS + 1, **A))
    assert _reconcile(tree, _seen(10, 5)) == []
    process = tree.find(A_KEY)
    assert process is not None
    assert process.image.executable == b"/bin/new"


def test_a_new_owner_of_a_pid_closes_the_old_one() -> None:
    """A pid that was used again: the first owner exited, the second was forked, both unseen."""
    tree = _tree()
    found = _reconcile(tree, _seen(10, 300))
    assert [(inferred.kind, inferred.key[1]) for inferred in found] == [
        (EXIT, A_KEY[1]),
        (FORK, 300 * TICK_NS),
    ]
    assert [process.key[1] // TICK_NS for process in tree.living.values()] == [300]


def test_an_adopted_process_has_its_new_parent() -> None:
    """Reparenting is no event; the tree has it all the same."""
    tree = _tree()
    tree.apply(fork(boottime_ns=7 * TICK_NS + 2, **CHILD))
    assert _reconcile(tree, _seen(10, 5), _seen(11, 7, image=SHELL, parent=(1, 0))) == []
    child = tree.find(CHILD_KEY)
    assert child is not None
    assert child.parent == (1, 0)


def test_an_adopter_that_was_not_found_is_seen() -> None:
    """/proc names who adopted an orphan. While it still names the parent that is about to go,
    nobody is known, and another look is due."""
    tree = _tree()
    tree.apply(fork(boottime_ns=7 * TICK_NS + 2, **CHILD))
    somebody = {"adopter_tgid": 0, "adopter_start_boottime_ns": SOMEBODY[1]}
    tree.apply(exited(boottime_ns=8 * TICK_NS, **A, **somebody))
    child = tree.find(CHILD_KEY)
    assert child is not None
    for parent, known, sought in (((10, 5 * TICK_NS), SOMEBODY, 2), ((1, 0), (1, 0), 2)):
        assert _reconcile(tree, _seen(11, 7, parent=parent)) == []
        assert tree.adopters.parent(child) == known
        assert tree.adopters.sought_total == sought


@pytest.mark.parametrize("inside", [True, False])
def test_what_is_outside_the_filter_is_no_event(inside: bool) -> None:
    """It is known, as a parent to be, and not told."""
    tree = _tree()
    found = _reconcile(tree, _seen(10, 5), _seen(11, 7, inside=inside))
    assert len(found) == int(inside)
    assert len(tree.living) == 2


@pytest.mark.parametrize("inside", [True, False])
def test_a_seeded_process_that_is_gone(inside: bool) -> None:
    """It is closed; outside the filter its exit could not be seen, and is not told."""
    tree = Tree(tree_limits(), TICK_NS)
    tree.seed([_seen(30, 3, inside=inside).process], BEGUN_NS)
    assert len(_reconcile(tree)) == int(inside)
    assert len(tree.living) == 0


def test_an_unknown_image_is_filled_in() -> None:
    """A process whose image was never known, its fork having been lost, has not exec'd."""
    tree = _tree()
    tree.apply(fork(boottime_ns=7 * TICK_NS + 2, **CHILD | {"parent_start_boottime_ns": 1}))
    assert _reconcile(tree, _seen(10, 5), _seen(11, 7)) == []
    child = tree.find(CHILD_KEY)
    assert child is not None
    assert child.image == _told(SHELL)


def _text(executable: bytes, *args: bytes, count: int = 0) -> Image:
    joined = b"".join(arg + b"\0" for arg in args)
    return Image(b"sh", executable, joined, count or len(args))


def _corrected(known: Image, seen: Observed) -> bool:
    """Whether a process known to run one image is taken to have exec'd, by that sight."""
    tree = Tree(tree_limits(), TICK_NS)
    before = _seen(10, 5, image=known).process
    before.verified_ns = 0
    tree.seed([before], 0)
    tree.doubts.lose(lost(SEEN_NS - 1))
    found = _reconcile(tree, seen)
    assert not tree.doubts.is_suspect(before)
    expected = seen.process.image if found else known
    assert before.image[:4] == expected[:4]
    assert before.image.notes == Notes.FROM_PROC
    return [change.kind for change in found] == [EXEC]


CUT = b"/bin/sh", b"sh", b"-c", b"long"


@pytest.mark.parametrize(
    ("known", "there", "execd"),
    [
        (_text(b"/bin/sh", b"sh", b"FIRST"), _text(b"/bin/sh", b"sh", b"SECOND"), True),
        (_text(b"/bin/sh", b"sh", b"a"), _text(b"/bin/sh", b"sh"), True),
        (_text(b"/bin/sh", b"sh"), _text(b"/bin/sh", b"sh")._replace(name=b"renamed"), False),
        # a title: words, or blanks behind it, or longer than the arguments were
        (_text(b"/bin/d", b"d", b"-f"), _text(b"/bin/d", b"d: worker process"), False),
        (_text(b"/bin/d", b"d", b"-f"), _text(b"/bin/d", b"idle", b"", b""), False),
        (_text(b"/bin/d", b"d"), _text(b"/bin/d")._replace(args=b"(sd-pam)-and-more"), False),
        (_text(b"/bin/d", b"d", b"-f"), _text(b"/bin/e", b"d: worker process"), True),
        # cut, by the event or in /proc
        (_text(*CUT, count=9), _text(*CUT, b"and", b"more"), False),
        (_text(*CUT, count=9), _text(b"/bin/sh", b"sh", b"-x", b"long", b"and"), True),
        (_text(*CUT, b"more"), _text(*CUT, count=4)._replace(args=b"sh\0-c\0lo"), False),
        # a path whose beginning is missing, or as it was given to execve(2)
        (_text(b"deep/down/sh", b"sh"), _text(b"/very/deep/down/sh", b"sh"), False),
        (_text(b"deep/down/sh", b"sh"), _text(b"/not-so-deep/down/sh", b"sh"), True),
        (_text(b"./sh", b"sh"), _text(b"/home/me/sh", b"sh"), False),
    ],
)  # fmt: skip
def test_what_an_exec_is(known: Image, there: Image, execd: bool) -> None:
    """Another file or other arguments; not a title, not a name, not what is only cut."""
    assert _corrected(known, _seen(10, 5, image=there)) == execd


@pytest.mark.parametrize(("inode", "execd"), [(77, False), (78, True)])
def test_a_file_that_was_renamed_is_no_exec(inode: int, execd: bool) -> None:
    """It is the same file by its number, whatever its path is by now."""
    known = _text(b"/bin/old", b"x")._replace(place=place(exe_inode=77, exe_device=5))
    seen = _seen(10, 5, image=_text(b"/bin/new", b"x"))._replace(inode=inode, device=5)
    assert _corrected(known, seen) == execd


def test_what_no_loss_can_have_hidden_is_no_exec() -> None:
    """Arguments that differ without a loss are what the process has made of them."""
    tree = _tree()
    assert _reconcile(tree, _seen(10, 5, image=_text(b"/bin/sh", b"sh", b"xxxxxx"))) == []
    process = tree.find(A_KEY)
    assert process is not None
    assert process.image.args == b"sh\0"


def _without_hunter(args: bytes) -> Redaction:
    return Redaction(args.replace(b"hunter2", b"[redacted]"), complete=True)


def test_what_could_not_be_redacted_makes_no_difference() -> None:
    """Arguments that nobody could search, then or now, are no sign of an exec."""
    tree = Tree(tree_limits(), TICK_NS, lambda args: Redaction(b"[redacted]\0" * 2, False))
    tree.seed([_seen(10, 5, image=_text(b"/bin/sh", b"sh", b"a")).process], 0)
    tree.doubts.lose(lost(SEEN_NS + 1))
    tree.images.redact_with(_without_hunter)
    assert _reconcile(tree, _seen(10, 5, image=_text(b"/bin/sh", b"sh", b"a"))) == []
    tree = Tree(tree_limits(), TICK_NS, _without_hunter)
    tree.seed([_seen(10, 5, image=_text(b"/bin/sh", b"sh", b"a")).process], 0)
    tree.doubts.lose(lost(SEEN_NS + 1))
    tree.images.redact_with(lambda args: Redaction(b"[redacted]\0" * 2, False))
    assert _reconcile(tree, _seen(10, 5, image=_text(b"/bin/sh", b"sh", b"b"))) == []


def test_secrets_do_not_make_a_difference() -> None:
    """What is known is without them, what /proc shows is not."""
    tree = Tree(tree_limits(), TICK_NS, _without_hunter)
    image = _text(b"/bin/sh", b"sh", b"--password=hunter2")
    tree.seed([_seen(10, 5, image=image).process], 0)
    tree.doubts.lose(lost(SEEN_NS + 1))
    assert _reconcile(tree, _seen(10, 5, image=image)) == []
    other = _text(b"/bin/sh", b"sh", b"--pin=hunter2")
    (found,) = _reconcile(tree, _seen(10, 5, image=other))
    assert found.image.args == b"sh\0--pin=[redacted]\0"


def test_what_was_not_seen_stays_in_doubt() -> None:
    """Without file and arguments nothing is verified; a title alone does not tell either."""
    tree = _tree()
    tree.doubts.lose(lost(SEEN_NS - 1))
    for there in (_text(b""), _text(b"", b"sh: a title")):
        assert _reconcile(tree, _seen(10, 5, image=there)) == []
        process = tree.find(A_KEY)
        assert process is not None
        assert tree.doubts.is_suspect(process)
        assert process.image.executable == b"/bin/sh"


def test_where_the_file_may_not_be_seen_arguments_tell() -> None:
    """The same arguments verify a process, others are an exec."""
    tree = _tree()
    tree.doubts.lose(lost(SEEN_NS - 1))
    assert _reconcile(tree, _seen(10, 5, image=_text(b"", b"sh"))) == []
    process = tree.find(A_KEY)
    assert process is not None
    assert not tree.doubts.is_suspect(process)
    tree.doubts.lose(lost(SEEN_NS + 1))
    (found,) = _reconcile(tree, _seen(10, 5, image=_text(b"", b"sh", b"-c")))
    assert (found.kind, found.image.args) == (EXEC, b"sh\0-c\0")


def test_a_kernel_thread_is_verified_by_its_name() -> None:
    """There is nothing else to it."""
    tree = Tree(tree_limits(), TICK_NS)
    thread = _seen(10, 5, image=Image(b"kworker", b"", b"", 0))
    tree.seed([thread.process], 0)
    thread.process.verified_ns = 0
    tree.doubts.lose(lost(SEEN_NS - 1))
    assert _reconcile(tree, _seen(10, 5, image=Image(b"kworker", b"", b"", 0))) == []
    assert not tree.doubts.is_suspect(thread.process)


def test_what_is_inferred_says_what_is_in_doubt() -> None:
    """Of whom nothing is known, and what a loss after the sight may have touched."""
    tree = _tree()
    tree.doubts.lose(lost(SEEN_NS + 1))
    (found,) = _reconcile(tree, _seen(11, 7, parent=(9, TICK_NS)), _seen(10, 5))
    assert found.doubt == Doubt(process=True, parent=False, parent_unknown=Unknown.LOST)


def test_who_was_dropped_for_room_was_not_forked_unseen() -> None:
    """It comes back without an event, and so does who ran before agentd did."""
    tree = Tree(tree_limits(), TICK_NS)
    tree.doubts.begun_ns = 6 * TICK_NS
    tree.doubts.lose(lost(SEEN_NS - 1))
    tree.doubts.evict((11, 7 * TICK_NS + 3))
    found = _reconcile(tree, *(_seen(tgid, ticks) for tgid, ticks in ((10, 5), (11, 7), (12, 8))))
    assert [(change.kind, change.key[0]) for change in found] == [(FORK, 12)]
    assert [tree.living.at(tgid).gap for tgid in (10, 11, 12)] == [  # type: ignore[union-attr]
        Unknown.BEFORE_START, Unknown.EVICTED, Unknown.LOST,
    ]  # fmt: skip


def test_far_above_its_bound_and_back() -> None:
    """While there is no room the tree is a part of what lives; with room again it is all of it."""
    tree = Tree(tree_limits(live_capacity=8, exited_capacity=0, ancestor_capacity=0), TICK_NS)
    alive = {}
    for tgid in range(100, 200):
        alive[tgid] = (tgid, tgid * TICK_NS + 3)
        tree.apply(
            fork(tgid=tgid, start_boottime_ns=alive[tgid][1], boottime_ns=alive[tgid][1] + 1)
        )
    assert len(tree.living) == 8
    for tgid in sorted(alive)[7:]:
        key = alive.pop(tgid)
        tree.apply(exited(tgid=tgid, start_boottime_ns=key[1], boottime_ns=300 * TICK_NS))
    tree.watched_exits.begin()
    assert _reconcile(tree, *(_seen(tgid, tgid) for tgid in alive)) == []
    assert {tgid: tree.living.at(tgid) is not None for tgid in alive} == dict.fromkeys(alive, True)
    assert len(tree.living) == len(alive) == 7


def test_a_session_that_began_without_an_exec() -> None:
    """setsid(2), setpgid(2), setuid(2) and a move to another cgroup are no events; a look tells."""
    tree = _tree()
    seen = _seen(10, 5)
    seen.process.session = seen.process.process_group = 10
    seen.process.uid, seen.process.seen_cgroup = 33, "/elsewhere"
    assert _reconcile(tree, seen) == []
    process = tree.find(A_KEY)
    assert process is not None
    assert (process.session, process.process_group) == (10, 10)
    assert (process.uid, process.seen_cgroup) == (33, "/elsewhere")


def test_events_go_on_between_the_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who exits or execs before its turn is left alone; who was forked meanwhile stays."""
    monkeypatch.setattr("agentd.core.tree.reconcile._COMPARED", 1)
    tree = _tree()
    old = Image(b"x", b"/bin/x", b"x\0", 1)
    seen = (_seen(10, 5), _seen(11, 7, image=old), _seen(12, 8))
    tree.apply(fork(boottime_ns=7 * TICK_NS + 2, **CHILD))
    comparison = Comparison(tree, Scan(BEGUN_NS, ENDED_NS, seen, complete=True), KINDS, PLACES)
    found = comparison.advance(NOW_NS)
    tree.apply(execed(b"/bin/new", boottime_ns=NOW_NS + 1, **CHILD))
    tree.apply(exited(boottime_ns=NOW_NS + 2, tgid=12, start_boottime_ns=8 * TICK_NS + 5))
    tree.apply(fork(boottime_ns=NOW_NS + 3, tgid=13, start_boottime_ns=NOW_NS + 3))
    while not comparison.over:
        found += comparison.advance(NOW_NS + 4)
    assert found == []
    alive = {process.key[0]: process.image.executable for process in tree.living.values()}
    assert alive == {10: b"/bin/sh", 11: b"/bin/new", 13: b""}


def _by_kernel(inode: int, device: int = 5 << 20) -> Tree:
    """A process that the kernel reported to have exec'd that file; then events were lost."""
    tree = Tree(tree_limits(), TICK_NS)
    file = place(exe_inode=inode, exe_device=device)
    tree.apply(execed(b"/bin/sh", b"sh\0", boottime_ns=5 * TICK_NS, place=file, **A))
    tree.watched_exits.begin()
    return tree


def _in_file(inode: int, device: int = 5 << 20, image: Image = SHELL) -> Observed:
    return _seen(10, 5, image=image)._replace(inode=inode, device=device)


DOCKERD = Image(b"dockerd", b"/usr/sbin/dockerd", b"dockerd\0", 1)


def test_another_file_under_the_same_path_is_an_exec_unseen() -> None:
    """Path and arguments are the same; inode and device decide."""
    tree = _by_kernel(77)
    tree.doubts.lose(lost(SEEN_NS - 1))
    (found,) = _reconcile(tree, _in_file(78))
    assert (found.kind, found.evidence) == (EXEC, "file")
    assert _reconcile(tree, _in_file(78)) == []


def test_what_proc_says_without_a_loss_is_no_exec() -> None:
    """A process can have another file, name and arguments shown there (PR_SET_MM_MAP)."""
    tree = _by_kernel(77)
    assert _reconcile(tree, _in_file(99, image=DOCKERD)) == []
    process = tree.find(A_KEY)
    assert process is not None
    assert (process.image.executable, process.image.notes) == (b"/bin/sh", 0)


def test_what_the_kernel_reported_stays_known() -> None:
    """After a loss /proc may be right, or forged: it is marked, and what was known goes along."""
    tree = _by_kernel(77)
    tree.doubts.lose(lost(SEEN_NS - 1))
    (found,) = _reconcile(tree, _in_file(99, image=DOCKERD))
    assert found.image == _told(DOCKERD)
    assert found.before is not None
    assert (found.before.executable, found.before.notes) == (b"/bin/sh", 0)
    process = tree.find(A_KEY)
    assert process is not None
    assert process.past is not None
    assert process.past.image == found.before
    tree.apply(execed(b"/bin/x", boottime_ns=NOW_NS + 1, **A))
    assert process.image.notes == 0


def test_arguments_alone_leave_the_file_that_the_kernel_reported() -> None:
    """Whoever writes over its arguments has not changed what runs, nor where."""
    tree = _by_kernel(77)
    tree.doubts.lose(lost(SEEN_NS - 1))
    (found,) = _reconcile(tree, _in_file(77, image=_text(b"/bin/other", b"sh", b"-c")))
    assert (found.evidence, found.image.args) == ("arguments", b"sh\0-c\0")
    assert found.image.executable == b"/bin/sh"
    assert found.image.place


def test_a_device_that_stat_shows_otherwise() -> None:
    """Of one path and inode, where no device has a major number (btrfs, overlayfs), it is one."""
    for device, seen_device, evidence in ((7, 8, ""), (5 << 20, 8, "file"), (7, 5 << 20, "file")):
        tree = _by_kernel(77, device)
        tree.doubts.lose(lost(SEEN_NS - 1))
        found = _reconcile(tree, _in_file(77, seen_device))
        assert [inferred.evidence for inferred in found] == ([evidence] if evidence else [])


def test_a_process_of_before_us_is_compared_by_its_file() -> None:
    """Which file it ran, /proc said at the start."""
    tree = Tree(tree_limits(), TICK_NS)
    seeded = _in_file(77).process
    seeded.seen_file = 77, 5 << 20
    seeded.verified_ns = 0
    tree.seed([seeded], 0)
    tree.watched_exits.begin()
    tree.doubts.lose(lost(SEEN_NS - 1))
    (found,) = _reconcile(tree, _in_file(78))
    assert (found.kind, found.evidence) == (EXEC, "file")
