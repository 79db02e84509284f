"""agentd.sinks.render.ecs_id"""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.batch import Batch
from agentd.core.loss.stages import STAGE_SKIPPED
from agentd.core.names import Names
from agentd.core.pipeline import Entry, Pipeline
from agentd.core.tree.process import Applied, Image
from agentd.core.tree.reconcile import Inferred
from agentd.core.undelivered import loss_of
from agentd.core.wire.events import NO_CPU, Lost
from agentd.sinks.render.ecs import EcsRenderer
from agentd.sinks.render.ecs_aggregate import MergingRenderer
from tests.property.entries import entries
from tests.records import (
    CPUS,
    EXEC,
    FORK,
    TICK_NS,
    WIRE,
    counters,
    delivery,
    execed,
    exited,
    fork,
    limits,
)

IMAGE = Image(b"true", b"", b"", 0)
NAMES = Names(lambda _: None, lambda _: None, lambda _: None)
BOOT_ID = "0123456789abcdef" + "f" * 16


def _ids(*some: Entry, sequence: int = 0, kind: type[EcsRenderer] = EcsRenderer) -> list[str]:
    renderer = kind(WIRE, BOOT_ID, 4096, NAMES)
    lines = renderer.render(Batch(list(some), sequence, 0)).splitlines()
    return [json.loads(line)["event"]["id"].removeprefix("0123456789abcdef-") for line in lines]


def _applied(event: object) -> Applied:
    return Applied(event, IMAGE, None, changed=False)  # type: ignore[arg-type]


def test_each_sort_of_line_has_its_id() -> None:
    """Events by CPU and number, losses with their size, conclusions by process and moment."""
    inferred = Inferred(99, EXEC, (7, 8), (1, 5), IMAGE, None, None)
    assert _ids(
        _applied(fork(cpu=3, seq=12)),
        Lost(50, 7, 1, 3, "reserve", FORK, 40),
        Lost(50, 7, NO_CPU, 3, STAGE_SKIPPED, FORK, 40),
        Lost(50, 7, NO_CPU, 3, "sink", None, 40),
        inferred,
    ) == ["3-12", "1-7+3", "skipped-fork-7+3", "sink-any-7+3", "7-8-exec-99"]


def test_a_line_of_several_events_names_the_first_and_the_last() -> None:
    """An aggregated line has another id than a line of its first event alone."""
    some = [_applied(fork(seq=1)), _applied(execed(seq=2)), _applied(exited(cpu=1, seq=1))]
    assert _ids(*some, kind=MergingRenderer) == ["0-1..1-1"]
    assert _ids(*some[:2], kind=MergingRenderer) == ["0-1..0-2"]
    assert _ids(*some[:1], kind=MergingRenderer) == ["0-1"]


@given(st.lists(entries, max_size=6), st.integers(0, 9))
def test_ids_do_not_depend_on_what_we_count(some: list[Entry], sequence: int) -> None:
    """A line that is written again, by another process at another place, has the same id."""
    for kind in (EcsRenderer, MergingRenderer):
        assert _ids(*some, sequence=sequence, kind=kind) == _ids(*some, kind=kind)


def test_runs_that_were_left_out_are_numbered() -> None:
    """Each such loss says which runs it is about, and a successor counts on from there."""
    pipeline = Pipeline(WIRE, CPUS, limits(), TICK_NS, first_seq=1000)
    pipeline.skip((2, 0, 1), 10, 20)
    losses = [entry for entry in _round(pipeline) if isinstance(entry, Lost)]
    progress = pipeline.progress(0)
    assert _ids(*losses) == ["skipped-fork-1000+2", "skipped-exit-1000+1"]
    successor = Pipeline(WIRE, CPUS, limits(), TICK_NS, first_seq=1000)
    successor.resume(replace(progress, next_seq=(0,) * CPUS))
    successor.skip((3, 0, 0), 20, 30)
    losses = [entry for entry in _round(successor) if isinstance(entry, Lost)]
    assert _ids(*losses) == ["skipped-fork-1002+3"]


def _round(pipeline: Pipeline) -> list[Entry]:
    read = counters({})
    return pipeline.push(100, read, delivery([]), read)


def test_what_stands_for_entries_that_cannot_be_encoded_differs() -> None:
    """Two conclusions of one moment, and of one process at two moments, have losses of theirs."""
    some = [
        Inferred(at_ns, FORK, (pid, 8), (1, 5), IMAGE, None, None)
        for at_ns, pid in ((99, 7), (99, 8), (100, 7))
    ]
    assert len(set(_ids(*map(loss_of, some)))) == len(some)
