"""The command ``run``: from what the command line asks for to a daemon that starts."""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import sys
import traceback
from typing import TYPE_CHECKING

from agentd.config.schema import Config
from agentd.config.tried_config import load_tried_config, reload_tried_config
from agentd.daemon.restart.resumed import KeptPrograms
from agentd.errors import AgentdError, ConfigError
from agentd.host import cgroups, clock, system
from agentd.kernel.compile import Settings
from agentd.kernel.loader_client import Loader, LoaderError
from agentd.kernel.loader_process import LoaderProcess
from agentd.requirements import packages
from agentd.systemd.notify import Service
from agentd.terminal import stdout

if TYPE_CHECKING:
    from agentd.daemon.restart.fdstore import Former
    from agentd.daemon.restart.handover import Left


_NS_PER_SEQ_BITS = 10
"""New programs number their attempts from the time on, in units of 1,024 ns. No CPU forks, execs
and exits as often as that, so no number is used twice in a boot, whatever ran before and was
forgotten; and in 292 years none is too large for a double.
"""


def run(arguments: argparse.Namespace, process: LoaderProcess | None) -> int:
    """Run the daemon to its end. Returns the exit code.

    ``process`` is a loader that has no orders yet.
    """
    config = load_tried_config(arguments.config, _assignments(arguments))
    if sys.stdout is None and config.output.format != "none":
        raise ConfigError("standard output is closed, and events go there", "--output none")
    service = Service(ends=arguments.duration is not None)
    fds = service.kept(_refuse)
    past_fd = fds.pop("past", None)
    programs, former = _programs(program_settings(config), process, fds, service)
    from agentd.daemon.restart.handover import left_by  # noqa: PLC0415 (while the loader compiles)

    kept = programs if isinstance(programs, KeptPrograms) else former
    left = left_by(kept, past_fd, service.forget, _refuse)
    try:
        return _run_daemon(config, programs, arguments, service, left)
    finally:
        programs.close()


def program_settings(config: Config) -> Settings:
    """What the programs are to be built for."""
    return Settings(
        cpus=system.possible_cpus(),
        page_bytes=system.PAGE_BYTES,
        cgroup=cgroups.find_filter(config.filter.cgroup),
        transport=config.transport.kind,
        ring_bytes=config.transport.ring_bytes,
        perf_bytes_per_cpu=config.transport.perf_bytes_per_cpu,
        first_seq=clock.boottime_ns() >> _NS_PER_SEQ_BITS,
    )


def _assignments(arguments: argparse.Namespace) -> list[str]:
    """The keys that the command line sets."""
    assignments = list(arguments.set)
    if arguments.output:
        assignments.append(f"output.format={arguments.output}")
    return assignments


def _programs(
    settings: Settings, process: LoaderProcess | None, fds: dict[str, int], service: Service
) -> tuple[Loader | KeptPrograms, Former | None]:
    """Those that a process before us left; or the loader of new ones, and others that run."""
    if not fds:
        return Loader(settings, process), None
    from agentd.daemon.restart import fdstore  # noqa: PLC0415 (memory)

    kept = fdstore.take(fds, settings, service.forget, _refuse)
    if kept is None:
        stdout.note("agentd begins anew; events that were not read before are lost")
    if isinstance(kept, KeptPrograms):
        return kept, None
    return Loader(settings, process), kept


def _refuse(reason: str) -> None:
    stdout.note(f"what another process kept cannot be used: {reason}")


def _run_daemon(
    config: Config,
    programs: Loader | KeptPrograms,
    arguments: argparse.Namespace,
    service: Service,
    left: Left,
) -> int:
    # imported only now, while the loader already compiles
    import uvloop  # noqa: PLC0415

    from agentd.daemon import start  # noqa: PLC0415
    from agentd.daemon.options import Options  # noqa: PLC0415
    from agentd.daemon.restart.handover import Left  # noqa: PLC0415
    from agentd.log.setup import configure_log  # noqa: PLC0415

    packages.check_imported()
    log, lines = configure_log(config.log.level, config.log.format)
    reload = None
    if arguments.config is not None and arguments.record is None:
        path, assignments = arguments.config, _assignments(arguments)
        reload = functools.partial(reload_tried_config, path, assignments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            succeeds = isinstance(programs, KeptPrograms) or left != Left(None, None)
            options = Options(arguments.duration, arguments.record, reload, left, succeeds, lines)
            runner.run(start.run(config, programs, options, log, service))
    except LoaderError as error:
        log.debug("the loader said", text=error.log)
        raise
    except AgentdError:
        raise
    except Exception:
        lines.finish()
        traceback.print_exc()
        return 1
    finally:
        lines.finish()
    return os.EX_OK
