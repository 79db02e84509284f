"""Orphans whose subreaper is far up: where the programs give up, the record says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.core.tree.process import SOMEBODY, Key
from agentd.core.wire.events import Event, Exit, Fork
from tests.cgroup import Cgroup
from tests.kernel.agreement import at_rest, held, in_tree, reconcile
from tests.kernel.c_programs import FAR_SUBREAPER
from tests.kernel.tracer import Tracer, events
from tests.programs import compile_c

STEPS = 64
"""How far up the programs look: ADOPTER_STEPS, bpf/adopter.h"""


def adopters(found: list[Event]) -> list[Key]:
    """Who gets the children of those that exited, by their records."""
    return [
        (event.adopter_tgid, event.adopter_start_boottime_ns)
        for event in found
        if isinstance(event, Exit)
    ]


@pytest.mark.parametrize("above", [STEPS - 1, STEPS, STEPS + 1, 200])
def test_a_subreaper_above(cgroup: Cgroup, tracer: Tracer, compiled: Path, above: int) -> None:
    """As far as the programs look, the exit names it. Beyond, it says that there is somebody, and
    the tree that the parent is not known; a look at /proc, which is due then, corrects that."""
    program = compile_c(compiled, "far_subreaper", FAR_SUBREAPER)
    sought = tracer.pipeline.tree.adopters.sought_total
    with held(cgroup, [program, str(above)]) as process:
        there = at_rest(cgroup, above + 1)
        found = events(tracer.collect())
        (adopter,) = adopters(found)
        orphan = [event.tgid for event in found if isinstance(event, Fork)][-1]
        known = in_tree(tracer)
        if above <= STEPS:
            assert adopter[0] == process.pid
        else:
            assert adopter == SOMEBODY
            assert known.pop(orphan)[1] == (0, 0)
        assert tracer.pipeline.tree.adopters.sought_total == sought + (above > STEPS)
        assert known.items() <= there.items()
        reconcile(tracer, cgroup)
        assert in_tree(tracer) == there
        assert there[orphan][1][0] == process.pid


def test_who_leaves_no_child(cgroup: Cgroup, tracer: Tracer) -> None:
    """Nobody gets anything, and nothing is looked for."""
    sought = tracer.pipeline.tree.adopters.sought_total
    cgroup.run(["/bin/sh", "-c", "/bin/true; (:); /bin/true"])
    assert set(adopters(events(tracer.collect()))) == {(0, 0)}
    assert tracer.pipeline.tree.adopters.sought_total == sought
