"""Does a recording again: the same pipeline, the same lines, without a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from agentd import output
from agentd.control.facts import EntryFilter, FactFinder, entry_filter
from agentd.core.batch import Batch, wanted_of
from agentd.core.event import kind_names
from agentd.core.journal import Flush, Named, Round, ScanBegins, Seed, Skipped, Step
from agentd.core.names import NameOf, Names
from agentd.core.pipeline import Entry, Pipeline
from agentd.core.process import entity_prefix
from agentd.core.reconcile import Scan
from agentd.core.redact import Redactor
from agentd.core.tree import Tree
from agentd.errors import ConfigError
from agentd.kernel.wire_header import read_wire, wire_text
from agentd.limits import is_filtered, limits_of
from agentd.recording import Head, Recording, wire_sha256
from agentd.settings import Config
from agentd.sinks.ecs_merged import ecs_renderer
from agentd.sinks.renderer import Renderer
from agentd.sinks.text import HEADING, TextRenderer


def play(recording: Recording, output_format: str, write: Callable[[bytes], object]) -> None:
    """Write what the recorded run wrote. Raises ConfigError for a recording of other records."""
    head = recording.head
    if head.wire_sha256 != wire_sha256(wire_text()):
        raise ConfigError(
            "the recording holds the records of another version of agentd",
            "replay it with the version that made it",
        )
    names: _Known = {}
    renderer = _renderer(head, output_format, names)
    pipeline = _pipeline(head)
    wanted = _wanted(head, pipeline.tree, names)
    if output_format == "text":
        write(HEADING.encode())
    sequence = 0
    for entries, wall_offset_ns in _entries(recording, pipeline, names):
        if renderer is not None and entries:
            for part in wanted_of(Batch(entries, sequence, wall_offset_ns), wanted):
                write(renderer.render(part))
        sequence += len(entries)


_Known = dict[tuple[str, int], str]
"""Names by sort and number."""

Written = tuple[list[Entry], int]
"""What left the pipeline at a step, and the wall clock's distance there."""


def _entries(recording: Recording, pipeline: Pipeline, names: _Known) -> Iterator[Written]:
    """What was written at each step; by then ``names`` has what was known then."""
    written: Written | None = None
    for step in recording.steps():
        if isinstance(step, Named):
            names[step.sort, step.number] = step.name
            continue
        if written is not None:
            yield written
        written = _do(pipeline, step)
    if written is not None:
        yield written


def _do(pipeline: Pipeline, step: Step) -> Written | None:
    if isinstance(step, Round):
        entries = pipeline.push(step.now_ns, step.before, step.delivery, step.after)
        return entries, step.wall_offset_ns
    if isinstance(step, Flush):
        return pipeline.flush(), step.wall_offset_ns
    if isinstance(step, Seed):
        pipeline.seed(step.processes, step.begun_ns)
    elif isinstance(step, Skipped):
        pipeline.skip(step.runs, step.from_ns, step.now_ns)
    elif isinstance(step, ScanBegins):
        pipeline.tree.watched_exits.begin()
    elif isinstance(step, Scan):
        pipeline.offer(step)
    return None


def _pipeline(head: Head) -> Pipeline:
    config = _config(head.config)
    return Pipeline(
        read_wire(),
        head.cpus,
        limits_of(config),
        head.tick_ns,
        room_stage=head.room_stage,
        redact=Redactor(config.redact.patterns).redact,
        hold_until_seeded=True,
        filtered=is_filtered(config),
        first_seq=head.first_seq,
    )


def _wanted(head: Head, tree: Tree, names: _Known) -> EntryFilter:
    """Which entries the recorded run's filter wanted."""
    text = _config(head.config).output.filter
    facts = FactFinder(tree, read_wire(), _names(names), entity_prefix(head.boot_id))
    return entry_filter(text, facts.of_event) or _everything


def _everything(entry: Entry) -> bool:
    return True


def _config(recorded: dict[str, dict[str, Any]]) -> Config:
    """The configuration of the recorded run."""
    config = Config()
    sections = {name: replace(getattr(config, name), **keys) for name, keys in recorded.items()}
    return replace(config, **sections)


def _names(known: _Known) -> Names:
    """The names that were known to the recorded run, as they become known."""

    def of(sort: str) -> NameOf:
        return lambda number: known.get((sort, number))

    return Names(of("cgroup"), of("user"), of("group"))


def _renderer(head: Head, output_format: str, names: _Known) -> Renderer | None:
    wire = read_wire()
    if output_format == "json":
        make = ecs_renderer(merges=_config(head.config).output.aggregate)
        return make(wire, head.boot_id, head.page_bytes, _names(names))
    if output_format == "text":
        return TextRenderer(kind_names(wire), colour=output.is_coloured())
    return None
