"""The command line: the one place that runs commands, prints errors and exits."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from agentd import output, vantage
from agentd.arguments import make_parser
from agentd.errors import AgentdError, ConfigError
from agentd.kernel.spawn import LoaderProcess


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
    from agentd.config import load_config  # noqa: PLC0415 (needs what other commands do not)
    from agentd.web.web_config import web_config_of  # noqa: PLC0415

    config = load_config(arguments.file)
    web_config_of(config.metrics)
    output.write(f"{arguments.file}: good\n")
    return os.EX_OK


def _run(arguments: argparse.Namespace) -> int:
    vantage.check()
    # what another process kept needs no loader
    process = None if os.environ.get("LISTEN_FDS") else LoaderProcess()
    try:
        from agentd import launching  # noqa: PLC0415 (while the loader makes itself ready)

        return launching.run(arguments, process)
    finally:
        if process is not None:
            process.close()


def _doctor(arguments: argparse.Namespace) -> int:
    from agentd.doctor import report  # noqa: PLC0415 (needs what the daemon does not)
    from agentd.doctor.examine import examine  # noqa: PLC0415
    from agentd.launching import program_settings  # noqa: PLC0415

    findings = examine(arguments.config, program_settings)
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


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "check-config": _check_config,
    **dict.fromkeys(("status", "tree", "ps", "explain", "follow", "top"), _ask),
    "doctor": _doctor,
    "scan": _scan,
    "replay": _replay,
    "bench transport": _bench_transport,
}
