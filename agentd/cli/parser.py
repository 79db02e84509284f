"""What the command line takes."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from agentd import __version__
from agentd.cli import query_parser
from agentd.cli.query_parser import Help, examples
from agentd.terminal import stdout
from agentd.terminal.escape import shortened
from agentd.terminal.numerals import decimal

_MESSAGE_MAX = 400
"""Characters: what was given may be long."""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose usage errors exit as sysexits.h has it."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {shortened(message, _MESSAGE_MAX)}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout is not None:
            stdout.write(message)
            stdout.flush()
        else:
            with contextlib.suppress(OSError):  # nobody reads standard error
                super()._print_message(message, file)


def make_parser() -> _Parser:
    """All commands and what they take."""
    parser = _Parser(
        prog="agentd",
        description="Every fork, exec and exit of this host, in order.",
        epilog=examples(
            "agentd doctor                    # can it run here?",
            "agentd run                       # report processes until Ctrl-C",
            "agentd status                    # ask the one that runs as a service",
            "agentd ps --help                 # and likewise for each command",
        ),
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"agentd {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_run(commands)
    _add_replay(commands)
    query_parser.add_commands(commands)
    _add_doctor(commands)
    _add_bench(commands)
    _add_scan(commands)
    _add_check(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[_Parser]) -> None:
    run = commands.add_parser(
        "run",
        help="report processes until stopped",
        description="Report processes on standard output until stopped.",
        epilog=examples(
            "agentd run",
            "agentd run --output json --set transport.ring_bytes=8388608",
            "agentd run --config /etc/agentd/agentd.toml --record storm --duration 60",
        ),
        formatter_class=Help,
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
    run.set_defaults(command="run")


def _add_check(commands: argparse._SubParsersAction[_Parser]) -> None:
    check = commands.add_parser(
        "check-config",
        help="say whether a configuration file is good",
        description="Say whether a configuration file is good. Exit code 0: it is; 78: it is not.",
        epilog=examples("agentd check-config /etc/agentd/agentd.toml"),
        formatter_class=Help,
    )
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(command="check-config")


def _add_doctor(commands: argparse._SubParsersAction[_Parser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="say whether agentd can run here",
        description="Look at all that agentd needs, and load its programs for a moment."
        " Exit code 0: it can run here; 69: it cannot.",
        epilog=examples("agentd doctor", "agentd doctor --config /etc/agentd/agentd.toml"),
        formatter_class=Help,
    )
    doctor.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the file to look at, too; without it the installed one",
    )
    doctor.add_argument("--json", action="store_true", help="the findings for programs")
    doctor.set_defaults(command="doctor")


def _add_scan(commands: argparse._SubParsersAction[_Parser]) -> None:
    scan = commands.add_parser(
        "scan",
        help="look at /proc for a daemon without privilege",
        description="Answer the requests of the daemon on standard input, which is a socket. A"
        " service manager starts it for each connection to the socket that scan.socket names.",
        epilog=examples("agentd scan <&3     # as agentd-scan@.service has it: 3 is a connection"),
        formatter_class=Help,
    )
    scan.set_defaults(command="scan")


def _add_replay(commands: argparse._SubParsersAction[_Parser]) -> None:
    again = commands.add_parser(
        "replay",
        help="do a recording of run --record again",
        description="Write what the run that made a recording wrote, or would have written.",
        epilog=examples("agentd replay storm", "agentd replay storm --output json | jq ."),
        formatter_class=Help,
    )
    again.add_argument("file", type=Path, metavar="FILE")
    again.add_argument("--output", choices=("text", "json", "none"), default="text")
    again.set_defaults(command="replay")


def _add_bench(commands: argparse._SubParsersAction[_Parser]) -> None:
    bench = commands.add_parser(
        "bench",
        help="measure on this host",
        description="Measure on this host.",
        epilog=examples("agentd bench transport"),
        formatter_class=Help,
    )
    subjects = bench.add_subparsers(required=True, metavar="SUBJECT")
    transport = subjects.add_parser(
        "transport",
        help="what perf buffers and the ring buffer reorder, drop and cost",
        description="Run short commands on every CPU, traced over each transport. About a minute.",
        epilog=examples(
            "agentd bench transport",
            "agentd bench transport --json transports.json --plot transports.svg",
        ),
        formatter_class=Help,
    )
    transport.add_argument(
        "--commands",
        type=query_parser.count,
        default=10_000,
        metavar="N",
        help="a run (default: 10000)",
    )
    transport.add_argument("--json", type=Path, metavar="FILE", help="write the figures, too")
    transport.add_argument("--plot", type=Path, metavar="FILE", help="a picture, .svg or .png")
    transport.set_defaults(command="bench transport")


def _seconds(text: str) -> float:
    seconds = decimal(text)
    if not seconds:
        raise argparse.ArgumentTypeError(
            f"{shortened(text)}: must be a number of seconds, more than 0"
        )
    return seconds
