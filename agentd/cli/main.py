"""The command line: the one place that runs commands, prints errors and exits."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from agentd.cli.parser import make_parser
from agentd.errors import ConfigError
from agentd.kernel.loader_process import LoaderProcess
from agentd.requirements.causes import known_cause
from agentd.requirements.host import REQUIREMENTS
from agentd.runtime import early_signals
from agentd.terminal import stdout
from agentd.terminal.escape import printable_path

if TYPE_CHECKING:
    from agentd.config.schema import Config
    from agentd.kernel.compile import Settings

DEBUG_VARIABLE = "AGENTD_DEBUG"
"""In the environment: show the traceback of whatever fails."""


def main() -> None:
    """The entry point of ``agentd``."""
    _fill_standard_fds()
    command = ""
    try:
        stdout.prepare()
        arguments = make_parser().parse_args()
        command = arguments.command
        code = _COMMANDS[command](arguments)
        stdout.flush()
    except KeyboardInterrupt:  # Ctrl-C before the event loop listens for it
        code = os.EX_OK
    except Exception as error:
        code = _report(error, command)
    sys.exit(code)


def _report(error: Exception, command: str) -> int:
    """One line about what failed, and the traceback for who asks for it. Returns the exit code.

    A bug of the daemon is always shown with its traceback.
    """
    cause = known_cause(error)
    if os.environ.get(DEBUG_VARIABLE) or (cause is None and command == "run"):
        traceback.print_exc()
    if cause is not None:
        if not isinstance(cause, stdout.ReaderGoneError):
            stdout.note(str(cause))
        return cause.exit_code
    words = f"{type(error).__name__}: {error}"
    stdout.note(
        f"{command or 'agentd'} failed, which is a bug: {words}"
        f" (please report it with what {DEBUG_VARIABLE}=1 agentd {command} shows)"
    )
    return os.EX_SOFTWARE


def _fill_standard_fds() -> None:
    """Open what is closed, or the next file or socket would take its number, and our log."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            _fill()
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 (for good)


def _fill() -> None:
    """Open something under the lowest free number."""
    try:
        os.open(os.devnull, os.O_RDWR)
    except OSError:
        os.memfd_create("closed")  # without the device; ``run`` starts with it only


def _check_config(arguments: argparse.Namespace) -> int:
    from agentd.config.tried_config import load_tried_config  # noqa: PLC0415
    from agentd.front.checking import check_web_config  # noqa: PLC0415 (others need it not)

    check_web_config(load_tried_config(arguments.file).metrics)
    stdout.write(f"{printable_path(arguments.file)}: good\n")
    return os.EX_OK


def _run(arguments: argparse.Namespace) -> int:
    early_signals.catch_early()
    for requirement in REQUIREMENTS:
        requirement.check()
    # what another process kept needs no loader
    process = None if os.environ.get("LISTEN_FDS") else LoaderProcess()
    try:
        from agentd.daemon import run  # noqa: PLC0415 (while the loader makes itself ready)

        return run.run(arguments, process)
    finally:
        if process is not None:
            process.close()


def _doctor(arguments: argparse.Namespace) -> int:
    from agentd.doctor import report  # noqa: PLC0415 (needs what the daemon does not)
    from agentd.doctor.run import examine  # noqa: PLC0415

    def settings_of(config: Config) -> Settings:
        from agentd.daemon import run  # noqa: PLC0415 (imports what may be missing)

        return run.program_settings(config)

    findings = examine(arguments.config, settings_of)
    stdout.write(report.as_json(findings) if arguments.json else report.as_text(findings))
    return os.EX_OK if report.can_run(findings) else os.EX_UNAVAILABLE


def _scan(arguments: argparse.Namespace) -> int:
    from agentd.helpers import coordinator  # noqa: PLC0415 (needs what the daemon does not)

    try:
        with socket.socket(fileno=os.dup(0)) as control:
            coordinator.serve_scans(control)
    except (OSError, ValueError) as error:
        raise ConfigError(f"standard input: not a daemon that asks: {error}") from None
    return os.EX_OK


def _ask(arguments: argparse.Namespace) -> int:
    from agentd.cli import query  # noqa: PLC0415 (needs what the daemon does not)

    show = {
        "status": query.show_status,
        "tree": query.show_tree,
        "ps": query.show_processes,
        "explain": query.show_explained,
        "follow": query.follow,
        "top": query.show_top,
    }
    return show[arguments.command](arguments)


def _bench_transport(arguments: argparse.Namespace) -> int:
    from agentd.experiment import command  # noqa: PLC0415 (needs what the daemon does not)

    command.bench_transport(command.Options(arguments.commands, arguments.json, arguments.plot))
    return os.EX_OK


def _replay(arguments: argparse.Namespace) -> int:
    from agentd.config.tried_config import try_config  # noqa: PLC0415
    from agentd.recording import replay  # noqa: PLC0415 (needs what the daemon does not)

    recording = replay.open_recording(arguments.file, try_config)
    try:
        replay.play(recording, arguments.output, stdout.write_utf8)
        if recording.is_cut_off:
            stdout.note(f"{printable_path(arguments.file)} was cut off: this is what came before")
    finally:
        recording.close()
    return os.EX_OK


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "check-config": _check_config,
    **dict.fromkeys(("status", "tree", "ps", "explain", "follow", "top"), _ask),
    "doctor": _doctor,
    "scan": _scan,
    "replay": _replay,
    "bench transport": _bench_transport,
}
