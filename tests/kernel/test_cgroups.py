"""The filter keeps to one cgroup and all below it, whichever way a process got there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.wire.events import Fork
from agentd.helpers.cgroup_paths import CgroupPaths
from agentd.sinks.render.ecs import EcsRenderer
from tests.cgroup import ENOUGH_SECONDS, Cgroup, own_cgroup
from tests.kernel.c_programs import CLONE3
from tests.kernel.tracer import Tracer, applied, attached, events, of, shape
from tests.programs import compile_c
from tests.records import WIRE

ENOSYS = 38


@pytest.fixture
def beside(cgroup: Cgroup) -> Iterator[Cgroup]:
    """A cgroup that is not filtered for."""
    with own_cgroup("beside") as beside:
        yield beside


@pytest.fixture
def below(cgroup: Cgroup) -> Iterator[Cgroup]:
    """A cgroup two levels below the one that is filtered for."""
    top = Cgroup(f"{cgroup.path.strip('/')}/below")
    deep = Cgroup(f"{cgroup.path.strip('/')}/below/deeper")
    deep.folder.mkdir(parents=True)
    yield deep
    top.end()


@pytest.fixture
def clone3(compiled: Path) -> str:
    """The program that forks by clone3(2)."""
    return compile_c(compiled, "clone3", CLONE3)


def _child_of(done: subprocess.CompletedProcess[str]) -> int:
    if done.returncode == ENOSYS:
        pytest.skip("needs clone3(2)")
    assert done.returncode == 0
    return int(done.stdout)


def _filtered(tracer: Tracer) -> list[int]:
    return [sum(kind) for kind in tracer.counters().filtered]


def test_below_belongs_to_it(below: Cgroup, tracer: Tracer) -> None:
    """What runs in a cgroup below the filtered one is reported."""
    below.run(["/bin/true"])
    assert shape(events(tracer.collect())) == ["exec", "exit"]


def test_containers_of_a_moment(cgroup: Cgroup, tracer: Tracer) -> None:
    """A cgroup that is gone when its exec is written is named all the same, and its container."""
    paths = CgroupPaths()
    paths.made = tracer.capture.cgroups.new
    paths.path(1)  # the look into the hierarchy: none of ours is there yet
    ids = [f"{number:064x}" for number in range(20)]
    for identity in ids:
        container = Cgroup(f"{cgroup.path.strip('/')}/docker-{identity}.scope")
        container.folder.mkdir()
        container.run(["/bin/true"])
        container.end()
    names = Names(paths.path, lambda _: None, lambda _: None)
    renderer = EcsRenderer(WIRE, "0" * 32, 4096, names)
    text = renderer.render(Batch(tracer.collect(), 0, 0))
    execs = [line for line in map(json.loads, text.splitlines()) if "exec" in line["agentd"]]
    assert [line["container"]["id"] for line in execs] == ids
    expected = [f"{cgroup.path}/docker-{identity}.scope" for identity in ids]
    assert [line["agentd"]["cgroup"]["path"] for line in execs] == expected


def test_beside_is_filtered_and_counted(beside: Cgroup, tracer: Tracer) -> None:
    """What runs in a sibling is not reported, and counted as filtered."""
    attempts, filtered = tracer.counters().attempts, _filtered(tracer)
    beside.run(["/bin/sh", "-c", "/bin/true; :"])
    assert tracer.collect() == []
    assert tracer.counters().attempts == attempts
    more = [now - before for now, before in zip(_filtered(tracer), filtered, strict=True)]
    assert more >= [1, 2, 2]  # other processes of the host are filtered as well


def test_fork_into_the_cgroup(cgroup: Cgroup, tracer: Tracer, clone3: str) -> None:
    """A fork counts for the child's cgroup: CLONE_INTO_CGROUP from outside is reported."""
    with subprocess.Popen(
        [clone3, "-c", str(cgroup.folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        output, _ = process.communicate(timeout=ENOUGH_SECONDS)
    child = _child_of(subprocess.CompletedProcess([], process.returncode, output))
    entries = tracer.collect()
    assert shape(events(entries)) == ["fork", "exit"]
    forked, exited = of(entries, child)
    assert forked.parent_tgid == exited.parent_tgid == process.pid


def test_fork_out_of_the_cgroup(
    cgroup: Cgroup, beside: Cgroup, tracer: Tracer, clone3: str
) -> None:
    """A child that is forked into another cgroup is not reported, its parent is."""
    filtered = _filtered(tracer)
    child = _child_of(cgroup.run([clone3, "-c", str(beside.folder)]))
    entries = tracer.collect()
    assert shape(events(entries)) == ["exec", "exit"]
    assert of(entries, child) == []
    assert _filtered(tracer)[0] > filtered[0]


@pytest.mark.usefixtures("transport")
def test_process_that_moves_out(beside: Cgroup) -> None:
    """A process that leaves the cgroup is reported no more, its later children neither."""
    out = f"/bin/true; echo $$ >{beside.folder}/cgroup.procs; /bin/true; :"
    # none that other tests look at: its tree does not hear of the end
    with own_cgroup("left") as cgroup, attached(cgroup.path) as tracer:
        cgroup.run(["/bin/sh", "-c", out])
        assert shape(events(tracer.collect())) == ["exec", "fork", "exec", "exit"]


def test_process_that_moves_in(cgroup: Cgroup, beside: Cgroup, tracer: Tracer) -> None:
    """A process that enters the cgroup is reported from then on, its children with a parent."""
    with beside.popen(
        ["/bin/sh", "-c", f"/bin/true; echo $$ >{cgroup.folder}/cgroup.procs; /bin/true; :"]
    ) as process:
        process.wait()
    entries = tracer.collect()
    assert shape(events(entries)) == ["fork", "exec", "exit", "exit"]
    forked = applied(entries)[0].event
    assert isinstance(forked, Fork)
    assert forked.parent_tgid == process.pid
    assert events(entries)[-1].tgid == process.pid
