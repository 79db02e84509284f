"""Does a recording again: the same pipeline, the same lines, without a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from agentd.config.limits import is_filtered, limits_of
from agentd.config.load import config_of
from agentd.core.batch import Batch, Choose, wanted_of
from agentd.core.names import NameOf, Names
from agentd.core.pipeline import Entry, Pipeline
from agentd.core.redact import Redactor
from agentd.core.steps import Flush, GaveUp, Named, Round, ScanBegins, Seed, Skipped, Step
from agentd.core.tree.process import Applied, entity_prefix
from agentd.core.tree.reconcile import Scan
from agentd.core.tree.tree import Tree
from agentd.core.wire.events import kind_names
from agentd.filters.facts import FactFinder, chosen, entry_choice
from agentd.filters.pattern_limits import OUTPUT_FILTER, REDACTION, RecordedMeter, Undecided
from agentd.filters.patterns import Matcher, OvertimeError
from agentd.kernel.wire_header import read_wire, wire_text
from agentd.recording.format import Recording, RecordingError, wire_sha256
from agentd.recording.values import Head, ReadConfig
from agentd.sinks.render.ecs_aggregate import ecs_renderer
from agentd.sinks.render.renderer import Renderer
from agentd.sinks.render.text import HEADING, TextRenderer
from agentd.terminal import stdout


def open_recording(path: Path, read_config: ReadConfig = config_of) -> Recording:
    """A recording of events as this agentd knows them. Raises RecordingError and ConfigError."""
    return Recording(path, read_wire().constant("AGENTD_KINDS"), read_config)


def play(recording: Recording, output_format: str, write: Callable[[bytes], object]) -> None:
    """Write what the recorded run wrote. Raises RecordingError for what no run can have recorded,
    and for a recording of other records.
    """
    if recording.head.wire_sha256 != wire_sha256(wire_text()):
        raise RecordingError(
            f"{recording.path}: holds the records of another version of agentd",
            "replay it with the version that made it",
        )
    try:
        _play(recording, output_format, write)
    except OvertimeError as error:
        raise recording.damaged(str(error)) from None


def _play(recording: Recording, output_format: str, write: Callable[[bytes], object]) -> None:
    head = recording.head
    known = _Known()
    renderer = _renderer(head, output_format, known)
    pipeline = _pipeline(head, known)
    choose = _choice(head, pipeline.tree, known)
    if output_format == "text":
        write(HEADING.encode())
    sequence = 0
    for entries, wall_offset_ns in _entries(recording, pipeline, known):
        if renderer is not None and entries:
            batch = Batch(entries, sequence, wall_offset_ns)
            for part in [batch] if choose is None else wanted_of(batch, choose):
                write(renderer.render(part))
        sequence += len(entries)


class _Known:
    """What the recorded run came to know, or could not find out, while it did its steps."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, int], str] = {}
        """By sort and number."""
        self.verdicts: dict[int, bool | None] = {}
        """Of the filter where a search for it was given up, by number of the event."""
        self.redacted_from: dict[int, int] = {}
        """The first argument that was not searched, by number of the command line."""

    def note(self, step: Named | GaveUp) -> None:
        """Take over what a step says."""
        if isinstance(step, Named):
            self.names[step.sort, step.number] = step.name
        elif step.where == REDACTION:
            self.redacted_from[step.number] = step.outcome or 0
        elif step.where == OUTPUT_FILTER:
            self.verdicts[step.number] = None if step.outcome is None else bool(step.outcome)


Written = tuple[list[Entry], int]
"""What left the pipeline at a step, and the wall clock's distance there."""


def _entries(recording: Recording, pipeline: Pipeline, known: _Known) -> Iterator[Written]:
    """What was written at each step, which is done when ``known`` has what it left to note."""
    for step in _noted_steps(recording, known):
        written = _do(pipeline, step)
        if written is not None:
            yield written


def _noted_steps(recording: Recording, known: _Known) -> Iterator[Step]:
    """The steps, each once ``known`` has what was noted while the recorded run did it."""
    before: Step | None = None
    for step in recording.steps():
        if isinstance(step, Named | GaveUp):
            known.note(step)
            continue
        if before is not None:
            yield before
        before = step
    if before is not None:
        yield before


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


def _pipeline(head: Head, known: _Known) -> Pipeline:
    config = head.config
    own, meter = _MATCHER.own_pattern, RecordedMeter(known.redacted_from)
    return Pipeline(
        read_wire(),
        head.cpus,
        limits_of(config),
        head.tick_ns,
        room_stage=head.room_stage,
        redact=Redactor(config.redact.patterns, own, meter).redact,
        hold_until_seeded=True,
        filtered=is_filtered(config),
        first_seq=head.first_seq,
    )


def _choice(head: Head, tree: Tree, known: _Known) -> Choose | None:
    """Which entries the recorded run's filter wanted, and which it could not decide.

    None if it had none.
    """
    text = head.config.output.filter
    facts = FactFinder(tree, read_wire(), _names(known), entity_prefix(head.boot_id))
    undecided = Undecided(matcher=_MATCHER)
    decide = entry_choice(OUTPUT_FILTER, text, facts.of_event, undecided)
    if decide is None:
        return None

    def choose(entry: Entry, number: int) -> Entry | None:
        if number in known.verdicts and isinstance(entry, Applied):
            return chosen(entry, known.verdicts[number], OUTPUT_FILTER)
        return decide(entry, number)

    return choose


_MATCHER = Matcher(limited=False)
"""What the recorded run decided took it no longer than it was given."""


def _names(known: _Known) -> Names:
    """The names that were known to the recorded run, as they become known."""

    def of(sort: str) -> NameOf:
        return lambda number: known.names.get((sort, number))

    return Names(of("cgroup"), of("user"), of("group"))


def _renderer(head: Head, output_format: str, known: _Known) -> Renderer | None:
    wire = read_wire()
    if output_format == "json":
        make = ecs_renderer(merges=head.config.output.aggregate)
        return make(wire, head.boot_id, head.page_bytes, _names(known))
    if output_format == "text":
        return TextRenderer(kind_names(wire), colour=stdout.is_coloured())
    return None
