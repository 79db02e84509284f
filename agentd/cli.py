"""The command line: the one place that runs commands, prints errors and exits."""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvloop

from agentd import cgroups, host, output, vantage
from agentd.arguments import make_parser
from agentd.config import load_config
from agentd.errors import AgentdError, ConfigError
from agentd.kernel.attach import Loader, LoaderError
from agentd.kernel.kept import KeptPrograms
from agentd.kernel.program import Settings
from agentd.service import Service
from agentd.settings import Config
from agentd.web.web_config import web_config_of

if TYPE_CHECKING:
    from agentd.keeping import Former, Left


def main() -> None:
    """The entry point of ``agentd``."""
    _fill_standard_fds()
    try:
        arguments = make_parser().parse_args()
        code = _COMMANDS[arguments.command](arguments)
        output.flush()
        sys.exit(code)
    except output.ReaderGoneError as error:
        sys.exit(error.exit_code)
    except AgentdError as error:
        print(f"agentd: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # Ctrl-C before the event loop listens for it
        sys.exit(os.EX_OK)


def _fill_standard_fds() -> None:
    """Open what is closed, or the next file or socket would take its number, and our log."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for good)


def _check_config(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.file)
    web_config_of(config.metrics)
    output.write(f"{arguments.file}: good\n")
    return os.EX_OK


def _run(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    if sys.stdout is None and config.output.format != "none":
        raise ConfigError("standard output is closed, and events go there", "--output none")
    vantage.check()
    service = Service()
    fds = service.kept()
    past_fd = fds.pop("past", None)
    programs, former = _programs(_settings(config), fds, service)
    from agentd.keeping import Left  # noqa: PLC0415 (while the loader compiles)

    try:
        return _run_daemon(config, programs, arguments, service, Left(past_fd, former))
    finally:
        programs.close()


def _config(arguments: argparse.Namespace) -> Config:
    """The configuration that the command line asks for."""
    assignments = list(arguments.set)
    if arguments.output:
        assignments.append(f"output.format={arguments.output}")
    return load_config(arguments.config, assignments)


def _programs(
    settings: Settings, fds: dict[str, int], service: Service
) -> tuple[Loader | KeptPrograms, Former | None]:
    """Those that a process before us left; or the loader of new ones, and others that run."""
    if not fds:
        return Loader(settings), None
    from agentd import keeping  # noqa: PLC0415 (memory)

    kept = keeping.take(fds, settings, service.forget)
    if isinstance(kept, KeptPrograms):
        return kept, None
    if kept is not None:
        settings = keeping.behind(settings, kept)
    return Loader(settings), kept


def _run_daemon(
    config: Config,
    programs: Loader | KeptPrograms,
    arguments: argparse.Namespace,
    service: Service,
    left: Left,
) -> int:
    # imported only now, while the loader already compiles
    from agentd import starting  # noqa: PLC0415
    from agentd.log import configure_log  # noqa: PLC0415
    from agentd.options import Options  # noqa: PLC0415

    log, lines = configure_log(config.log.level, config.log.format)
    reload = None
    if arguments.config is not None and arguments.record is None:
        reload = functools.partial(_config, arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            options = Options(arguments.duration, arguments.record, reload, left, lines)
            runner.run(starting.run(config, programs, options, log, service))
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


def _doctor(arguments: argparse.Namespace) -> int:
    from agentd.doctor import report  # noqa: PLC0415 (needs what the daemon does not)
    from agentd.doctor.examine import examine  # noqa: PLC0415

    findings = examine(arguments.config, _settings)
    output.write(report.as_json(findings) if arguments.json else report.as_text(findings))
    return os.EX_OK if report.can_run(findings) else os.EX_UNAVAILABLE


def _scan(arguments: argparse.Namespace) -> int:
    from agentd import scanning  # noqa: PLC0415 (needs what the daemon does not)

    try:
        scanning.answer(sys.stdin.buffer, output.write_bytes)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"standard input: not a request: {error}") from None
    except output.ReaderGoneError:
        pass  # a daemon that ended; to systemd, 141 would be a failure
    return os.EX_OK


def _ask(arguments: argparse.Namespace) -> int:
    from agentd.control import commands  # noqa: PLC0415 (needs what the daemon does not)

    show = {
        "status": commands.show_status,
        "tree": commands.show_tree,
        "ps": commands.show_processes,
        "explain": commands.show_explained,
        "follow": commands.follow,
        "top": commands.show_top,
    }
    return show[arguments.command](arguments)


def _bench_transport(arguments: argparse.Namespace) -> int:
    from agentd.experiment import command  # noqa: PLC0415 (needs what the daemon does not)

    command.bench_transport(command.Options(arguments.commands, arguments.json, arguments.plot))
    return os.EX_OK


def _replay(arguments: argparse.Namespace) -> int:
    from agentd.recording import Recording  # noqa: PLC0415 (needs what the daemon does not)
    from agentd.replay import play  # noqa: PLC0415

    recording = Recording(arguments.file)
    try:
        play(recording, arguments.output, output.write_bytes)
    finally:
        recording.close()
    return os.EX_OK


def _settings(config: Config) -> Settings:
    return Settings(
        cpus=host.possible_cpus(),
        page_bytes=host.PAGE_BYTES,
        cgroup=cgroups.find_filter(config.filter.cgroup),
        transport=config.transport.kind,
        ring_bytes=config.transport.ring_bytes,
        perf_bytes_per_cpu=config.transport.perf_bytes_per_cpu,
    )


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "check-config": _check_config,
    **dict.fromkeys(("status", "tree", "ps", "explain", "follow", "top"), _ask),
    "doctor": _doctor,
    "scan": _scan,
    "replay": _replay,
    "bench transport": _bench_transport,
}
