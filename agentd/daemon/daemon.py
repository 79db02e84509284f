"""The daemon: what is wired to what, and in which order it starts, runs and stops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from agentd.config.limits import is_filtered, limits_of
from agentd.config.schema import Config
from agentd.core.batch import Batch
from agentd.core.steps import Seed, no_journal
from agentd.core.tree.process import entity_prefix
from agentd.daemon import memory
from agentd.daemon.batch_delay import Pace
from agentd.daemon.capture import Capture
from agentd.daemon.health.canary import Canary
from agentd.daemon.health.loss_log import LossWarnings
from agentd.daemon.health.missed_runs import Skipping
from agentd.daemon.health.undecided_log import UndecidedWarnings
from agentd.daemon.health.watchdog import Liveness
from agentd.daemon.loop import Rounds
from agentd.daemon.options import Options
from agentd.daemon.outputs import Outlets, make_recorder
from agentd.daemon.reconciler import Reconciler
from agentd.daemon.reload import Changeable, NothingToReload, Reloading, reload_on_signal
from agentd.daemon.restart.catch_up import settle
from agentd.daemon.restart.fdstore import Former
from agentd.daemon.restart.handover import Keeper
from agentd.daemon.restart.takeover import inherit
from agentd.daemon.stats import Reporting, log_attached
from agentd.errors import AgentdError
from agentd.filters.pattern_limits import Undecided, make_redactor
from agentd.front.keeper import FrontKeeper, Sources, front_settings
from agentd.front.listeners import CheckedWebConfig, Doors
from agentd.helpers.client import Helpers
from agentd.helpers.proc_scan import Scanner
from agentd.host import capabilities, clock, system
from agentd.kernel.loader_client import Attached
from agentd.log.queue import LogQueue
from agentd.metrics.snapshot import Beside
from agentd.metrics.usage_tracker import Rankings, Workload
from agentd.runtime.copies import hide
from agentd.runtime.stopping import set_after, unless
from agentd.sinks.writer import SinkClosedError
from agentd.snapshot.witness import Snapshots
from agentd.systemd.notify import Service
from agentd.systemd.rate_limit import Suppression, journal_unit

LAST_ROUND_SECONDS = 1.0
"""How long a sink that does not take anything may delay the end."""


class Daemon:
    """The parts, and what happens to them over time."""

    def __init__(
        self,
        config: Config,
        attached: Attached,
        options: Options,
        log: Any,
        stopping: asyncio.Event,
        *,
        service: Service,
        helpers: Helpers,
        progress_fd: int | None,
    ) -> None:
        self._stopping, self._helpers, self._log, self._service = stopping, helpers, log, service
        self._failure: Exception | None = None
        self._seeded, self._duration_seconds = False, options.duration_seconds
        self._recorder = make_recorder(config, attached, options.record) if options.record else None
        journal = self._journal = self._recorder.step if self._recorder else no_journal
        self._undecided = Undecided(journal)
        self._outlets = Outlets(config, journal, helpers, self._sink_told, self._undecided)
        self._sinks = self._outlets.fanout(succeeds=options.succeeds)
        self._keeper = Keeper(service, attached, options.left, log, resumed=progress_fd is not None)
        self._capture = Capture(
            attached,
            limits_of(config),
            make_redactor(config.redact.patterns, self._undecided).redact,
            hold_until_seeded=True,
            progress_fd=progress_fd,
            position=self._keeper.position,
        )
        self._pipeline = self._capture.pipeline
        self._outlets.cgroups.made = self._capture.cgroups.new
        self._facts = self._outlets.facts(self._pipeline.tree)
        self._feeds = self._outlets.feeds(self._pipeline.tree)
        self._snapshots = Snapshots(self._answer, log)
        self._workload = Workload(self._facts, Rankings.of(config.metrics))
        filtered = is_filtered(config)
        self._scanner = Scanner(config.filter.cgroup if filtered else "", helpers)
        left_out = self._capture.exits_filtered if filtered else None
        self._reconciler = Reconciler(self._pipeline, self._scanner, log, journal, left_out)
        self._loss_warnings = LossWarnings(self._pipeline, log)
        self._suppression = Suppression(journal_unit(config), helpers, log)
        self._rounds = self._make_rounds(config)
        self._canary = Canary(self._capture.counters.read, self._rounds.wake, helpers)
        self._skipping = Skipping(self._capture, self._rounds.wake, journal)
        self._reporting = self._make_reporting(options.log_lines, filtered=filtered)
        self._keeper.go_on(self._sinks, self._rounds.go_on_from)
        self._rounds.hand_on(self._capture.untold, clock.wall_offset_ns())
        asked = Sources(self._numbers, self._snapshots.ask, self._feeds.add)
        self._front = FrontKeeper(asked, front_settings(config), log)
        self._liveness = Liveness(service, self._canary, self._reporting.status, log)
        self._load, self._config, self._giving_back = options.reload, config, memory.GivingBack()
        log_attached(log, attached, self._capture, config.filter.cgroup)

    def _make_rounds(self, config: Config) -> Rounds:
        transport = config.transport
        return Rounds(
            self._capture.transport,
            self._capture.counters.read,
            self._pipeline,
            self._sinks,
            pace=Pace(transport.batch_delay_ms / 1e3, transport.batch_delay_max_ms / 1e3),
            round_bytes=transport.round_bytes,
            after_round=self._after_round,
            handed_on=self._handed_on,
            journal=self._journal,
            keep=self._capture.ledger.write,
        )

    def _make_reporting(self, log_lines: LogQueue, *, filtered: bool) -> Reporting:
        return Reporting(
            self._capture,
            self._rounds,
            reconciler=self._reconciler,
            canary=self._canary,
            sinks=self._sinks,
            suppression=self._suppression,
            helpers=self._helpers,
            log_lines=log_lines,
            undecided=UndecidedWarnings(self._undecided.totals, self._log),
            rankings=self._workload.rankings,
            filtered=filtered,
        )

    async def inherit(self, former: Former) -> None:
        """Begin with what programs of another kind left unread."""
        inheritance = await inherit(former, self._keeper.position)
        self._rounds.hand_on(inheritance.untold, clock.wall_offset_ns())
        self._rounds.hand_on(self._pipeline.inherit(inheritance), clock.wall_offset_ns())
        self._log.info(
            "took over",
            events=len(inheritance.events),
            lost=sum(lost.missing for lost in inheritance.losses),
            checkpoint_damaged=inheritance.checkpoint_damaged,
        )

    async def run(self, doors: Doors) -> None:
        """Work, until it is time to stop; then finish. Raises what ended it early."""
        async with asyncio.TaskGroup() as group:
            rounds = group.create_task(self._rounds.run())
            opening = group.create_task(self._front.open(doors, self._config.metrics.listen))
            await self._seed()
            set_after(self._duration_seconds, self._stopping)
            if self._keeper.begins and await unless(self._stopping, self._settle()):
                self._keeper.keep(self._capture.ledger)
            self._pipeline.overlap.own_waits = False
            try:
                await self._liveness.begin(self._stopping)
            except AgentdError as blind:
                self._fail(blind)
            background = (
                self._reconciler.run(self._rounds.wake),
                self._outlets.learn_names(),
                self._suppression.run(),
                self._liveness.run(),
                self._reload_on_signal(doors.web_config),
            )
            tasks = [group.create_task(work) for work in background]
            await self._wait()
            self._service.stopping()
            await self._front.close()
            for task in (rounds, opening, *tasks):
                task.cancel()
        await self._finish()
        if not self._service.keeps:
            self._failure = self._failure or self._sinks.failure
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let go of everything."""
        self._snapshots.close()
        self._feeds.close()
        self._capture.close()
        self._sinks.close()
        if self._recorder is not None:
            self._recorder.close()

    async def _seed(self) -> None:
        """Scan /proc, after attaching: what happens meanwhile is taken, and waits in the queue."""
        memory.settle()
        capabilities.keep_only(())
        hide()
        names = asyncio.create_task(self._outlets.load_names())
        begun_ns = clock.boottime_ns()
        found = await self._scanner.first(self._stopping)
        processes = [seen.process for seen in found.processes]
        if found.failure:
            self._reconciler.failed(found.failure)
        await names
        self._journal(Seed(processes, begun_ns))
        self._pipeline.seed(processes, begun_ns)
        self._outlets.ask_names(process.uid for process in processes)
        remembered = self._keeper.remember(self._pipeline.tree)
        self._seeded = True
        memory.settle()
        self._log.info("ready", processes=len(self._pipeline.tree.living), remembered=remembered)

    async def _settle(self) -> bool:
        return await settle(self._pipeline, self._rounds, self._sinks.let_go)

    async def _reload_on_signal(self, web_config: CheckedWebConfig) -> None:
        """SIGHUP reads the configuration again, where there is a file."""
        reloading: Reloading | NothingToReload = NothingToReload(self._log)
        if self._load is not None:
            parts = Changeable(
                self._rounds, self._pipeline, self._outlets, self._front, self._undecided
            )
            reloading = Reloading(self._config, self._load, parts, self._log, web_config)
        status = self._reporting.status
        await reload_on_signal(reloading, self._service, status, self._stopping.set)

    async def _wait(self) -> None:
        """Until it is time to stop."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_error)
        await self._stopping.wait()

    def _sink_told(self, name: str, why: AgentdError | None) -> None:
        """A sink fails, or works again. A command ends with its reader; a service goes on."""
        if why is None:
            self._log.info("a sink works again", sink=name)
        elif isinstance(why, SinkClosedError) and not self._service.keeps:
            self._log.info("stopping", reason=why.message)
            self._stopping.set()
        else:
            self._log.error("a sink fails", sink=name, problem=why.message, exc_info=why.__cause__)

    async def _finish(self) -> None:
        """Detach, take what is left, and say what became of everything."""
        if not self._service.keeps:
            self._capture.detach()
        self._skipping.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ROUND_SECONDS):
                await self._rounds.finish()
        if self._keeper.begins:  # it was time to stop before all was written
            self._keeper.keep(self._capture.ledger)
        self._keeper.leave(self._pipeline, self._capture.ledger, self._sinks)
        self._log.info("stopped", **self._reporting.account())

    def _numbers(self) -> dict[str, Any]:
        """What the front shows."""
        beside = Beside(*self._front.counts, *self._snapshots.counts)
        ready = self._seeded, "attached and seeded" if self._seeded else "starting"
        numbers = self._reporting.numbers(beside)
        numbers["status"] |= {
            "front_failures": beside.front_failures,
            "snapshot_failures": beside.snapshot_failures,
        }
        return numbers | {"ready": ready}

    def _answer(self, fd: int) -> None:
        """In a copy of the daemon: answer a question."""
        from agentd.snapshot import answers  # noqa: PLC0415 (the daemon has none of it)

        if self._recorder is not None:
            self._recorder.stop()
        entity = entity_prefix(system.boot_id())
        subject = answers.Subject(self._pipeline.tree, entity, clock.wall_offset_ns, self._facts)
        answers.answer(subject, fd)

    def _handed_on(self, batch: Batch) -> None:
        self._canary.written(batch)
        self._feeds.offer(batch)
        self._workload.offer(batch)

    def _after_round(self) -> None:
        self._reconciler.after_round()
        self._loss_warnings.after_round()
        self._skipping.after_round()
        self._reporting.after_round()
        self._canary.after_round()
        self._giving_back.after_round()

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback that raised is a bug of ours; a connection that broke is not."""
        exception = context.get("exception")
        if "handle" in context and isinstance(exception, Exception):
            self._fail(exception)
        else:
            self._log.warning("event loop", message=context["message"], error=repr(exception))

    def _fail(self, failure: Exception) -> None:
        """Stop; what happened first is raised when everything is put away."""
        self._failure = self._failure or failure
        self._stopping.set()
