"""The command line: the one place that reads arguments, prints errors and exits."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import uvloop

from agentd import __version__, cgroups, host, vantage
from agentd.config import load_config
from agentd.errors import AgentdError, ConfigError
from agentd.kernel.attach import Loader, LoaderError
from agentd.kernel.kept import KeptPrograms
from agentd.kernel.program import Settings
from agentd.paths import bpf_dir
from agentd.service import Service
from agentd.settings import Config, Control


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose usage errors exit as sysexits.h has it."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def main() -> None:
    """The entry point of ``agentd``."""
    _fill_standard_fds()
    arguments = make_parser().parse_args()
    try:
        sys.exit(arguments.command(arguments))
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


def make_parser() -> _Parser:
    """All commands and what they take."""
    parser = _Parser(prog="agentd", description="Every fork, exec and exit of this host, in order.")
    parser.add_argument("--version", action="version", version=f"agentd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="report processes until stopped",
        description="Report processes on standard output until stopped.",
        epilog="example: agentd run --output json --set transport.ring_bytes=8388608",
    )
    run.add_argument("--config", type=Path, metavar="FILE", help="a TOML file; see agentd.toml")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="change one key of the configuration; may be repeated",
    )
    run.add_argument(
        "--output", choices=("text", "json", "none"), help="the same as --set output.format=…"
    )
    run.add_argument("--duration", type=_seconds, metavar="SECONDS", help="stop after that time")
    run.add_argument(
        "--record", type=Path, metavar="FILE", help="write what the kernel delivers, for replay"
    )
    run.set_defaults(command=_run)

    _add_replay(commands)
    _add_explain(commands)
    _add_doctor(commands)
    _add_bench(commands)

    _add_scan(commands)
    check = commands.add_parser("check-config", help="say whether a configuration file is good")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(command=_check_config)
    return parser


def _add_explain(commands: argparse._SubParsersAction[_Parser]) -> None:
    explain = commands.add_parser(
        "explain",
        help="say everything about one process",
        description="Everything that a running agentd knows about one process: its ancestors,"
        " each image that it ran, its children, how it ended. Also of one that exited lately.",
        epilog="example: agentd explain 4711",
    )
    explain.add_argument("id", metavar="PID|ENTITY_ID")
    explain.add_argument("--json", action="store_true", help="docs/control.md has the fields")
    explain.add_argument(
        "--socket", default=Control().socket, metavar="PATH", help="default: %(default)s"
    )
    explain.set_defaults(command=_explain)


def _add_doctor(commands: argparse._SubParsersAction[_Parser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="say whether agentd can run here",
        description="Look at all that agentd needs, and load its programs for a moment."
        " Exit code 0: it can run here; 69: it cannot.",
        epilog="example: agentd doctor --config /etc/agentd/agentd.toml",
    )
    doctor.add_argument("--config", type=Path, metavar="FILE", help="the file to look at, too")
    doctor.add_argument("--json", action="store_true", help="the findings for programs")
    doctor.set_defaults(command=_doctor)


def _add_scan(commands: argparse._SubParsersAction[_Parser]) -> None:
    scan = commands.add_parser(
        "scan",
        help="look at /proc for a daemon without privilege",
        description="Answer the one request on standard input; a service manager starts it for"
        " each connection to the socket that scan.helper names.",
    )
    scan.set_defaults(command=_scan)


def _add_replay(commands: argparse._SubParsersAction[_Parser]) -> None:
    again = commands.add_parser("replay", help="do a recording of run --record again")
    again.add_argument("file", type=Path, metavar="FILE")
    again.add_argument("--output", choices=("text", "json", "none"), default="text")
    again.set_defaults(command=_replay)


def _add_bench(commands: argparse._SubParsersAction[_Parser]) -> None:
    bench = commands.add_parser("bench", help="measure on this host")
    subjects = bench.add_subparsers(required=True, metavar="SUBJECT")
    transport = subjects.add_parser(
        "transport",
        help="what perf buffers and the ring buffer reorder, drop and cost",
        description="Run short commands on every CPU, traced over each transport. About a minute.",
        epilog="example: agentd bench transport --json transports.json --plot transports.svg",
    )
    transport.add_argument(
        "--commands", type=_count, default=10_000, metavar="N", help="a run (default: 10000)"
    )
    transport.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    transport.add_argument("--plot", type=Path, metavar="FILE", help="a picture, .svg or .png")
    transport.set_defaults(command=_bench_transport)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, more than 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: must be a number of seconds, more than 0")
    return seconds


def _check_config(arguments: argparse.Namespace) -> int:
    load_config(arguments.file)
    print(f"{arguments.file}: good")
    return os.EX_OK


def _run(arguments: argparse.Namespace) -> int:
    assignments = list(arguments.set)
    if arguments.output:
        assignments.append(f"output.format={arguments.output}")
    config = load_config(arguments.config, assignments)
    if sys.stdout is None and config.output.format != "none":
        raise ConfigError("standard output is closed, and events go there", "--output none")
    vantage.check()
    service = Service()
    programs = _programs(_settings(config), service)
    try:
        return _run_daemon(config, programs, arguments, service)
    finally:
        programs.close()


def _programs(settings: Settings, service: Service) -> Loader | KeptPrograms:
    """Those that a process before us left, or else the loader of new ones."""
    fds = service.kept()
    if fds:
        from agentd import keeping  # noqa: PLC0415 (memory)

        mark = keeping.fingerprint(settings, bpf_dir(), host.boot_id())
        kept = keeping.take(fds, mark, settings)
        if kept is not None:
            return kept
        service.forget(fds)
    return Loader(settings)


def _run_daemon(
    config: Config,
    programs: Loader | KeptPrograms,
    arguments: argparse.Namespace,
    service: Service,
) -> int:
    # imported only now, while the loader already compiles
    from agentd import daemon  # noqa: PLC0415
    from agentd.log import configure_log  # noqa: PLC0415

    log = configure_log(config.log.level, config.log.format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            options = daemon.Options(arguments.duration, arguments.record)
            runner.run(daemon.run(config, programs, options, log, service))
    except LoaderError as error:
        log.debug("the loader said", text=error.log)
        raise
    except AgentdError:
        raise
    except Exception:
        traceback.print_exc()
        return 1
    return os.EX_OK


def _doctor(arguments: argparse.Namespace) -> int:
    from agentd.doctor import report  # noqa: PLC0415 (needs what the daemon does not)
    from agentd.doctor.examine import examine  # noqa: PLC0415

    findings = examine(arguments.config, _settings)
    print(report.as_json(findings) if arguments.json else report.as_text(findings), end="")
    return os.EX_OK if report.can_run(findings) else os.EX_UNAVAILABLE


def _scan(arguments: argparse.Namespace) -> int:
    from agentd import scanning  # noqa: PLC0415 (needs what the daemon does not)

    try:
        scanning.answer(sys.stdin.buffer, sys.stdout.buffer)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"standard input: not a request: {error}") from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return os.EX_OK


def _explain(arguments: argparse.Namespace) -> int:
    from agentd.control import client, explain  # noqa: PLC0415 (needs what the daemon does not)

    answer = client.ask(arguments.socket, "explain", id=arguments.id)
    print(json.dumps(answer) if arguments.json else explain.render(answer), end="")
    return os.EX_OK


def _bench_transport(arguments: argparse.Namespace) -> int:
    from agentd.experiment import command  # noqa: PLC0415 (needs what the daemon does not)

    command.bench_transport(command.Options(arguments.commands, arguments.json, arguments.plot))
    return os.EX_OK


def _replay(arguments: argparse.Namespace) -> int:
    from agentd.recording import Recording  # noqa: PLC0415 (needs what the daemon does not)
    from agentd.replay import play  # noqa: PLC0415

    recording = Recording(arguments.file)
    try:
        play(recording, arguments.output, sys.stdout.buffer)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
