"""What the daemon writes to, made as the configuration asks: the sinks, and a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from agentd.config.schema import Config
from agentd.core.batch import Choose
from agentd.core.names import Names
from agentd.core.steps import Journal
from agentd.core.tree.process import Applied, entity_prefix
from agentd.core.tree.tree import Tree
from agentd.core.wire.events import kind_names
from agentd.core.wire.header import Wire
from agentd.filters.facts import FactFinder, entry_choice
from agentd.filters.fields import Facts
from agentd.filters.pattern_limits import JOURNAL_FILTER, OUTPUT_FILTER, Undecided
from agentd.front.feed import Feeds
from agentd.helpers.cgroup_paths import CgroupPaths
from agentd.helpers.client import Helpers
from agentd.helpers.user_names import HostNames
from agentd.host import clock, system
from agentd.kernel.loader_client import Attached
from agentd.kernel.transport import room_stage
from agentd.kernel.wire_header import read_wire, wire_text
from agentd.sinks.chunk import datagram
from agentd.sinks.fanout import Fanout
from agentd.sinks.journald import JournalChannel
from agentd.sinks.render.ecs_aggregate import ecs_renderer
from agentd.sinks.render.renderer import Renderer
from agentd.sinks.render.text import HEADING, TextRenderer
from agentd.sinks.sink import Sink, Told
from agentd.sinks.stdout import Stdout
from agentd.systemd.journal_protocol import is_journal
from agentd.terminal import stdout

if TYPE_CHECKING:
    from agentd.recording.format import Recorder

_NAMES_SECONDS = 0.5
"""How long the first lines may wait for names: the scan of /proc takes some of it anyway."""
STDOUT, JOURNAL = "stdout", "journal"
"""The sinks' names in metrics."""


class Outlets:
    """Makes the sinks. ``told`` hears when one fails, and when it works again."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        helpers: Helpers,
        told: Told,
        undecided: Undecided,
    ) -> None:
        self._config = config
        self._undecided = undecided
        self._told = told
        self._wire = read_wire()
        self._facts: FactFinder | None = None
        self._sinks: dict[str, Sink] = {}
        self._choose_actions: Callable[[tuple[str, ...]], None] | None = None
        self.cgroups = CgroupPaths(helpers, journal)
        self._host = HostNames(helpers, journal)
        self._names = Names(self.cgroups.path, self._host.users.name, self._host.groups.name)

    async def load_names(self) -> None:
        """Learn the names that there are; of one that takes long, later."""
        loading = asyncio.gather(self._host.load(), self.cgroups.load())
        await asyncio.wait((loading,), timeout=_NAMES_SECONDS)

    def ask_names(self, uids: Iterable[int]) -> None:
        """Have those learned that are not known: copies of the daemon could not do so."""
        for uid in set(uids):
            if uid >= 0:
                self._names.user(uid)

    async def learn_names(self) -> None:
        """Learn those that are met, until cancelled."""
        await asyncio.gather(self._host.run(), self.cgroups.run())

    def facts(self, tree: Tree) -> FactFinder:
        """Of the tree, for questions and for filters of sinks."""
        self._facts = FactFinder(tree, self._wire, self._names, entity_prefix(system.boot_id()))
        return self._facts

    def feeds(self, tree: Tree) -> Feeds:
        """For those who follow the events."""
        return Feeds(tree, self._wire, self._names)

    def fanout(self, *, succeeds: bool) -> Fanout:
        """All that the configuration asks for. Raises ConfigError if there is no stdout.

        ``succeeds``: a process before us wrote to the same.
        """
        stdout = self._stdout(succeeds=succeeds and not is_journal(1))
        sinks = [sink for sink in (stdout, self._journal()) if sink is not None]
        self._sinks = {sink.name: sink for sink in sinks}
        return Fanout(sinks)

    def choose(self, config: Config) -> None:
        """Let other events go to the sinks that are there, as another configuration asks."""
        if STDOUT in self._sinks:
            self._sinks[STDOUT].wanted = self._choice(OUTPUT_FILTER, config.output.filter)
        if JOURNAL in self._sinks:
            self._sinks[JOURNAL].wanted = self._choice(JOURNAL_FILTER, config.journal.filter)
        if self._choose_actions is not None:
            self._choose_actions(config.journal.actions)

    def _stdout(self, *, succeeds: bool) -> Sink | None:
        form = self._config.output.format
        if form == "none":
            return None
        merges = form == "json" and self._config.output.aggregate
        renderer = self._ecs(merges=merges) if form == "json" else _text(self._wire)
        wanted = self._choice(OUTPUT_FILTER, self._config.output.filter)
        sink = Sink(
            STDOUT,
            lambda batch: [renderer.render(batch)],
            Stdout(succeeds=succeeds),
            self._told,
            form=form,
            wanted=wanted,
            merges=merges,
        )
        if form == "text":
            sink.begin(HEADING)
        return sink

    def _journal(self) -> Sink | None:
        actions = self._config.journal.actions
        if not actions:
            return None
        from agentd.sinks.render.journal_fields import JournalEncoder  # noqa: PLC0415 (memory)

        encoder = JournalEncoder(self._wire, system.boot_id(), self._names, actions)
        self._choose_actions = encoder.choose
        wanted = self._choice(JOURNAL_FILTER, self._config.journal.filter)
        return Sink(
            JOURNAL,
            encoder.encode,
            JournalChannel(),
            self._told,
            datagram,
            form=JOURNAL,
            wanted=wanted,
        )

    def _choice(self, where: str, text: str) -> Choose | None:
        return entry_choice(where, text, self._facts_of, self._undecided)

    def _facts_of(self, applied: Applied) -> Facts:
        assert self._facts is not None
        return self._facts.of_event(applied)

    def _ecs(self, *, merges: bool = False) -> Renderer:
        return ecs_renderer(merges=merges)(
            self._wire, system.boot_id(), system.PAGE_BYTES, self._names
        )


def _text(wire: Wire) -> Renderer:
    return TextRenderer(kind_names(wire), colour=stdout.is_coloured())


def make_recorder(config: Config, attached: Attached, path: Path) -> Recorder:
    """A recording of this run. Raises ConfigError if the file cannot be had."""
    from agentd.recording.format import Recorder, wire_sha256  # noqa: PLC0415
    from agentd.recording.values import Head  # noqa: PLC0415 (memory)

    head = Head(
        wire_sha256=wire_sha256(wire_text()),
        cpus=attached.settings.cpus,
        tick_ns=clock.TICK_NS,
        page_bytes=system.PAGE_BYTES,
        boot_id=system.boot_id(),
        room_stage=room_stage(attached.handover),
        config=config,
        first_seq=attached.settings.first_seq,
    )
    return Recorder(path, head)
