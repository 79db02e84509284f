"""The daemon: what is wired to what, and in which order it starts, runs and stops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agentd import host, http, metrics, procfs
from agentd.audit import ForkAudit
from agentd.capture import Capture, is_filtered, limits_of
from agentd.config import Config
from agentd.core.batch import Batch
from agentd.core.event import kind_names
from agentd.core.journal import Journal, Seed, no_journal
from agentd.core.pace import Pace
from agentd.core.redact import Redactor
from agentd.kernel.attach import Attached, Loader
from agentd.names import HostNames
from agentd.outlets import make_recorder, make_sink
from agentd.reconciler import Reconciler
from agentd.rounds import Rounds
from agentd.scanning import scan_in_slices
from agentd.sinks.stdout import SinkClosedError, SinkFailedError, Stdout

T = TypeVar("T")

STALLED_AFTER_NS = 5_000_000_000
LAST_ROUND_SECONDS = 1.0
"""How long a sink that does not take anything may delay the end."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for beside the configuration."""

    duration_seconds: float | None
    record: Path | None


async def run(config: Config, loader: Loader, options: Options, log: Any) -> None:
    """Run until a signal, the duration's end, or the end of standard output's reader."""
    listening = http.bind(config.metrics.listen) if config.metrics.listen else None
    stopping = _stop_on_signals()
    attached = await _unless(stopping, loader.attached())
    if attached is None:
        return
    if attached.log:
        log.debug("the loader said", text=attached.log)
    recorder = make_recorder(config, attached, options.record) if options.record else None
    journal = recorder.step if recorder else no_journal
    names = HostNames(journal)
    sink = make_sink(config, journal, names)
    daemon = Daemon(config, attached, sink, log, stopping, journal=journal)
    loader.dismiss()
    try:
        async with asyncio.TaskGroup() as group:
            rounds = group.create_task(daemon.run_rounds())
            if listening is not None:
                group.create_task(http.run(daemon.http_app(), listening, daemon.stopping.wait))
            await names.load()
            await daemon.seed()
            background = [group.create_task(daemon.reconcile()), group.create_task(names.run())]
            await daemon.wait(options.duration_seconds)
            for task in (*background, rounds):
                task.cancel()
        await daemon.finish()
    finally:
        daemon.close()
        if recorder:
            recorder.close()
    if daemon.failure is not None:
        raise daemon.failure


class Daemon:
    """The parts, and what happens to them over time."""

    def __init__(
        self,
        config: Config,
        attached: Attached,
        sink: Stdout | None,
        log: Any,
        stopping: asyncio.Event,
        *,
        journal: Journal,
    ) -> None:
        self.stopping = stopping
        self.failure: Exception | None = None
        self._log = log
        self._sink = sink
        self._journal = journal
        self._seeded = False
        redactor = Redactor(config.redact.patterns)
        self._capture = Capture(
            attached, limits_of(config), redactor.redact, hold_until_seeded=True
        )
        self._pipeline = self._capture.pipeline
        self._kind_names = kind_names(self._capture.wire)
        self._transport_kind = attached.handover.transport
        self._filtered = is_filtered(config)
        self._cgroup = config.filter.cgroup if self._filtered else ""
        self._reconciler = Reconciler(self._pipeline, self._cgroup, log, journal)
        self._rounds = Rounds(
            self._capture.transport,
            self._capture.counters.read,
            self._pipeline,
            self._write,
            pace=_pace(config),
            round_bytes=config.transport.round_bytes,
            after_round=self._reconciler.after_round,
            journal=journal,
        )
        self._audit = ForkAudit(self._forks_seen, procfs.forks_total)
        self._log_attached(attached, config.filter.cgroup)

    async def seed(self) -> None:
        """Scan /proc, after attaching: what happens meanwhile is taken, and waits in the queue."""
        begun_ns = host.boottime_ns()
        processes = [seen.process for seen in await scan_in_slices(self._cgroup)]
        self._journal(Seed(processes, begun_ns))
        self._pipeline.seed(processes, begun_ns)
        self._seeded = True
        gc.collect()
        gc.freeze()
        self._log.info("ready", processes=len(self._pipeline.tree.living))

    async def wait(self, duration_seconds: float | None) -> None:
        """Until it is time to stop."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_error)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_seconds):
                await self.stopping.wait()
        self.stopping.set()

    async def run_rounds(self) -> None:
        """Rounds until cancelled, or until nobody reads what goes out."""
        try:
            if self._sink is not None:
                await self._sink.flush()  # the heading, before the first event comes
            await self._rounds.run()
        except SinkClosedError as error:
            self._log.info("stopping", reason=error.message)
            self.stopping.set()
        except SinkFailedError as error:
            self._fail(error)

    async def reconcile(self) -> None:
        """After losses, until cancelled."""
        await self._reconciler.run(self._rounds.wake)

    async def finish(self) -> None:
        """Detach, take what is left, and say what became of everything."""
        self._capture.detach()
        with contextlib.suppress(SinkClosedError, SinkFailedError, TimeoutError):
            async with asyncio.timeout(LAST_ROUND_SECONDS):
                await self._rounds.finish()
        kernel, pipeline = self._capture.counters.read(), self._pipeline
        self._log.info(
            "stopped",
            **dict(zip(self._kind_names, pipeline.emitted, strict=True)),
            lost=kernel.failures_total + pipeline.decoder.errors,
            not_written=self._rounds.entries_total - self._sink.written if self._sink else 0,
            late=pipeline.reorderer.late_total,
            imbalance=pipeline.imbalance,
        )

    def close(self) -> None:
        """Let go of everything."""
        self._capture.close()
        if self._sink is not None:
            self._sink.close()

    def http_app(self) -> http.Asgi:
        """Metrics and health of this daemon."""
        return http.make_app(
            metrics.make_app(self._snapshot), self._healthz, self._readyz, self._fail
        )

    def _log_attached(self, attached: Attached, cgroup: str) -> None:
        handover = attached.handover
        self._log.info(
            "attached",
            bcc=handover.bcc_version,
            offsets="btf" if handover.from_btf else "kernel headers",
            transport=handover.transport,
            transport_reason=handover.transport_reason,
            buffer_bytes=self._capture.transport.size_bytes,
            cpus=attached.settings.cpus,
            cgroup=cgroup or None,
        )

    async def _write(self, batch: Batch) -> None:
        if self._sink is not None:
            await self._sink.write(batch)

    def _healthz(self) -> http.Health:
        idle_ns = host.boottime_ns() - self._rounds.last_ns
        if self._capture.transport.used_bytes and idle_ns > STALLED_AFTER_NS:
            return http.Health(False, f"stalled: no round for {idle_ns / 1e9:.1f} s")
        return http.Health(True, "ok")

    def _readyz(self) -> http.Health:
        return http.Health(self._seeded, "attached and seeded" if self._seeded else "starting")

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback that raised is a bug of ours; a connection that broke is not."""
        exception = context.get("exception")
        if "handle" in context and isinstance(exception, Exception):
            self._fail(exception)
        else:
            self._log.warning("event loop", message=context["message"], error=repr(exception))

    def _fail(self, failure: Exception) -> None:
        """Stop; what happened first is raised when everything is put away."""
        self.failure = self.failure or failure
        self.stopping.set()

    def _forks_seen(self) -> int:
        kernel = self._capture.counters.read()
        return sum(kernel.attempts[self._kind_names.index("fork")]) + sum(kernel.threads)

    def _snapshot(self) -> metrics.Snapshot:
        return metrics.Snapshot(
            kind_names=self._kind_names,
            pipeline=self._pipeline,
            kernel=self._capture.counters.read(),
            rounds=self._rounds.total,
            round_duration=self._rounds.duration,
            latency=self._rounds.latency,
            transport=self._transport_kind,
            ring_used_bytes=self._capture.transport.used_bytes,
            ring_size_bytes=self._capture.transport.size_bytes,
            lost_samples=self._capture.transport.lost_samples,
            reconciliations=self._reconciler.total,
            forks_unaccounted=0 if self._filtered else self._audit.unaccounted(),
        )


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _unless(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None if it is time to stop before that."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait((task,))
    return None


def _pace(config: Config) -> Pace:
    transport = config.transport
    return Pace(transport.batch_delay_ms / 1e3, transport.batch_delay_max_ms / 1e3)
