"""agentd.metrics.usage_tracker"""

from __future__ import annotations

from typing import Any

import pytest

from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.tree.process import Applied
from agentd.core.tree.tree import Tree
from agentd.core.usage import Work
from agentd.core.wire.events import Event
from agentd.filters.facts import FactFinder, Where
from agentd.metrics.usage_tracker import Rankings, Workload, unit_name
from tests.records import TICK_NS, WIRE, execed, exited, fork, place, tree_limits

PATHS = {
    1: "/system.slice/cron.service",
    2: "/system.slice/docker-" + "ab" * 32 + ".scope",
    3: "/user.slice",
    4: "/a\x1bb.slice/\udcffb.service",
}


def _nobody(number: int) -> str | None:
    return None


class Host:
    """A tree, and what is told of it."""

    def __init__(self) -> None:
        self.tree = Tree(tree_limits(), TICK_NS)
        facts = FactFinder(self.tree, WIRE, Names(PATHS.get, _nobody, _nobody), "0" * 16)
        self.workload = Workload(facts, Rankings(units=2, executables=2))

    def see(self, *events: Event) -> None:
        """They leave in one round."""
        applied = [self.tree.apply(event) for event in events]
        self.workload.offer(Batch([a for a in applied if isinstance(a, Applied)], 0, 0))


def _process(tgid: int, path: bytes, cgroup: int, **ending: int) -> list[Event]:
    who: dict[str, Any] = {"tgid": tgid, "start_boottime_ns": tgid * TICK_NS}
    return [
        fork(**who),
        execed(path, b"x\0", place=place(cgroup_id=cgroup), **who),
        exited(**who, **ending),
    ]


def test_work_by_unit_and_by_executable() -> None:
    """Each exec and each exit is counted where it ran and by what ran; ticks are added up."""
    host = Host()
    host.see(*_process(10, b"/bin/a", 1, utime_ns=3, stime_ns=4, max_rss_pages=9))
    host.see(*_process(11, b"/bin/a", 2, utime_ns=10, max_rss_pages=5))
    host.see(*_process(12, b"/bin/b", 3, utime_ns=1, max_rss_pages=1))
    rankings = host.workload.rankings
    assert rankings.executables.named == {
        ("/bin/a",): Work(2, 2, 17, 9),
        ("/bin/b",): Work(1, 1, 1, 1),
    }
    assert rankings.units.named == {
        ("cron.service", "system.slice"): Work(1, 1, 7, 9),
        ("container abababababab", "system.slice"): Work(1, 1, 10, 5),
    }
    assert rankings.units.other == Work(1, 1, 1, 1)


def test_a_child_that_ran_nothing_is_counted_where_its_creator_is() -> None:
    """Its image is inherited, and of what /proc did not show, the line of creators tells."""
    host = Host()
    host.see(*_process(10, b"/bin/sh", 1)[:2])
    child: dict[str, Any] = {
        "tgid": 11, "start_boottime_ns": 11 * TICK_NS,
        "parent_tgid": 10, "parent_start_boottime_ns": 10 * TICK_NS,
    }  # fmt: skip
    host.see(fork(**child), exited(**child, utime_ns=5))
    assert host.workload.rankings.executables.named[("/bin/sh",)].exits == 1
    assert host.workload.rankings.units.named[("cron.service", "system.slice")].cpu_ns == 5
    host.see(exited(tgid=77, start_boottime_ns=7 * TICK_NS, comm=b"old".ljust(16, b"\0")))
    assert host.workload.rankings.executables.named[("old",)].exits == 1


def test_names_are_printable_and_the_rest_has_one_series() -> None:
    """A scrape on a terminal obeys nothing; who runs nowhere, or is called ``other``, is rest."""
    host = Host()
    host.see(*_process(10, b"/bin/\x1b[2Jx", 4))
    host.see(exited(tgid=77, start_boottime_ns=7 * TICK_NS, comm=b"other".ljust(16, b"\0")))
    rankings = host.workload.rankings
    assert list(rankings.units.named) == [("\\udcffb.service", "a\\x1bb.slice")]
    assert list(rankings.executables.named) == [("/bin/\\x1b[2Jx",)]
    assert rankings.units.other.exits == rankings.executables.other.exits == 1


def test_a_review_comes_after_a_minute() -> None:
    """Those of the first round keep their series for as long as those of any other."""
    host = Host()
    first_ns, minute_ns = 1 << 40, 60_000_000_000
    named = host.workload.rankings.executables.named
    little = {"utime_ns": 1, "boottime_ns": first_ns}
    host.see(
        *_process(10, b"/bin/a", 1, **little),
        *_process(11, b"/bin/b", 1, **little),
        *_process(12, b"/bin/c", 1, utime_ns=100, boottime_ns=first_ns),
    )
    for tgid, now_ns in ((13, first_ns + minute_ns - 1), (14, first_ns + minute_ns)):
        assert ("/bin/c",) not in named
        host.see(*_process(tgid, b"/bin/c", 1, boottime_ns=now_ns))
    assert ("/bin/c",) in named


@pytest.mark.parametrize(
    ("cgroup", "unit", "piece", "container", "expected"),
    [
        ("/a", "a.service", "a.slice", "ab" * 32, "a.service"),
        ("/a", None, "a.slice", "ab" * 32, "container abababababab"),
        ("/a", None, "a.slice", None, "a.slice"),
        ("/a", None, None, None, "/a"),
        (None, None, None, None, "other"),
    ],
)
def test_the_name_of_a_unit(
    cgroup: str | None, unit: str | None, piece: str | None, container: str | None, expected: str
) -> None:
    """The unit, or else the container, or else the slice."""
    assert unit_name(Where(cgroup, unit, piece, container, None, None)) == expected


def test_names_have_a_bounded_length() -> None:
    """However long paths of executables and of cgroups are; what has one beginning is one."""
    host = Host()
    PATHS[5] = "/" + "u" * 4000
    for tgid, end in ((10, b"a"), (11, b"b")):
        host.see(*_process(tgid, b"/" + b"\x01" * 4000 + end, 5, utime_ns=3))
    for ranking in (host.workload.rankings.units, host.workload.rankings.executables):
        ((name, work),) = ranking.named.items()
        assert all(len(part) <= 256 for part in name)
        assert name[0].endswith("…")
        assert (work.execs, work.exits, work.cpu_ns) == (2, 2, 6)


def test_what_is_known_of_places_is_bounded_in_bytes() -> None:
    """A thousand cgroups with paths of 4 KiB take no more than a MiB and its parts."""
    tree = Tree(tree_limits(), TICK_NS)
    names = Names(lambda number: f"/{number:d<4000}", _nobody, _nobody)
    facts = FactFinder(tree, WIRE, names, "0" * 16)
    for number in range(1, 1000):
        assert facts.place(place(cgroup_id=number)).cgroup == f"/{number:d<4000}"
        assert sum(len(where.cgroup or "") for where in facts._wheres.values()) <= 1 << 20
    assert len(facts._wheres) > 100
