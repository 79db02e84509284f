"""The command line of the commands that ask a running daemon."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, time, timedelta
from typing import Any

from agentd.config.schema import Control
from agentd.terminal.escape import shortened
from agentd.terminal.numerals import decimal, whole

_FILTER_HELP = 'which ones, for instance: exe ~ "^/usr/bin/" and uid != 0 (docs/filters.md)'
COLUMNS = (
    "pid", "parent", "depth", "user", "start", "finished", "state", "status", "where", "entity",
    "command",
)  # fmt: skip
"""Of ps."""


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_commands(commands: Any) -> None:
    """status, tree, ps, explain, follow and top, to an ArgumentParser's subparsers."""
    _add_status(commands)
    _add_tree(commands)
    _add_ps(commands)
    _add_explain(commands)
    _add_follow(commands)
    _add_top(commands)


class Help(argparse.HelpFormatter):
    """Help that leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


def examples(*lines: str) -> str:
    """Command lines, below the help."""
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


def _add(commands: Any, name: str, summary: str, description: str, *lines: str) -> Any:
    """A command with what they all take."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=examples(*lines),
        formatter_class=Help,
    )
    command.add_argument("--json", action="store_true", help="docs/control.md has the fields")
    command.add_argument(
        "--socket", default=Control().socket, metavar="PATH", help="default: %(default)s"
    )
    command.set_defaults(command=name)
    return command


def _add_status(commands: Any) -> None:
    _add(
        commands, "status", "say how a running agentd does",
        "One screen: transport, rates, losses, latency, tree, sinks, cost."
        " Exit code 0: well, though something may have been lost; 1: not well; 69: nobody answers.",
        "agentd status",
        "agentd status --json | jq .lost_by_stage",
        "agentd status >/dev/null || echo 'agentd is not well'",
    )  # fmt: skip


def _add_tree(commands: Any) -> None:
    tree = _add(
        commands, "tree", "show who started whom",
        "The process tree, with those that exited lately and how they ended.",
        "agentd tree 4711",
        "agentd tree --user alice --since 10m",
        "agentd tree --filter 'unit = cron.service' --all",
    )  # fmt: skip
    tree.add_argument("pid", type=count, nargs="?", metavar="PID", help="only from this one down")
    tree.add_argument("--all", action="store_true", help="each of several that are alike")
    tree.add_argument("--live", action="store_true", help="without those that have exited")
    tree.add_argument("--filter", default="", metavar="FILTER", help=_FILTER_HELP)
    tree.add_argument("--user", metavar="NAME|UID", help="those of a user")
    tree.add_argument("--container", metavar="ID", help="those of a container; its first digits")
    tree.add_argument(
        "--since", type=_moment, metavar="TIME",
        help="those that began since then, and who stands above them: 30s, 5m, 2h, 1d ago; 14:30;"
        " 2026-11-23T14:30",
    )  # fmt: skip


def _add_ps(commands: Any) -> None:
    ps = _add(
        commands, "ps", "show processes as a table",
        "A table of processes, with what ps(1) does not know: how deep they stand in the tree,"
        " the CPU seconds of those below that have finished,"
        " their unit or container, and, with --exited, how those ended that exited lately.",
        "agentd ps --exited --filter 'status != 0'",
        "agentd ps --sort finished --reverse | head",
        "agentd ps --columns pid,where,command --filter container",
    )  # fmt: skip
    ps.add_argument("--exited", action="store_true", help="those that exited lately, too")
    ps.add_argument("--filter", default="", metavar="FILTER", help=_FILTER_HELP)
    ps.add_argument("--sort", choices=COLUMNS, default="start", help="default: %(default)s")
    ps.add_argument("--reverse", action="store_true", help="the greatest first")
    ps.add_argument(
        "--columns",
        type=_columns,
        metavar="A,B",
        help="names as for --sort; default: all that fit",
    )


def _add_explain(commands: Any) -> None:
    explain = _add(
        commands, "explain", "say everything about one process",
        "Everything that a running agentd knows about one process: its ancestors,"
        " each image that it ran, its children, how it ended, which losses were near. Also of one"
        " that exited lately.",
        "agentd explain 4711",
        "agentd explain 630f40a223364ba3-4711-18085389795334   # an entity_id",
    )  # fmt: skip
    explain.add_argument("id", metavar="PID|ENTITY_ID")


def _add_follow(commands: Any) -> None:
    follow = _add(
        commands, "follow", "show events as they happen",
        "Events of a running agentd, until Ctrl-C. Filtered by the daemon; who reads too slowly is"
        " told what it has missed.",
        "agentd follow --filter 'action = exec and container'",
        "agentd follow --json --filter 'status != 0' | jq .process.args",
    )  # fmt: skip
    follow.add_argument("--filter", default="", metavar="FILTER", help=_FILTER_HELP)


def _add_top(commands: Any) -> None:
    top = _add(
        commands, "top", "show what works and exits, as it happens",
        "What processes that exited have done, by executable, unit or container: those that are"
        " over before top(1) looks. On a terminal: Tab what, s order, p pause, ? help, q quit; in a"
        " pipe, a table for each interval.",
        "agentd top --seconds 5",
        "agentd top --filter 'slice = user.slice'",
        "agentd top --count 1 --json | jq .units",
    )  # fmt: skip
    top.add_argument(
        "--seconds",
        type=_interval,
        default=1.0,
        metavar="N",
        help="an interval; default: %(default)s",
    )
    top.add_argument("--count", type=count, metavar="N", help="stop after so many")
    top.add_argument("--filter", default="", metavar="FILTER", help=_FILTER_HELP)


def count(text: str) -> int:
    """A whole number, more than 0."""
    number = whole(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{shortened(text)}: must be a whole number, more than 0")
    return number


def _interval(text: str) -> float:
    """Seconds, as the daemon takes them."""
    seconds = decimal(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{shortened(text)}: must be a number of seconds")
    return seconds


def _columns(text: str) -> tuple[str, ...]:
    """Names of columns."""
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"no column {shortened(unknown[0])!r}: {', '.join(COLUMNS)}"
        )
    return names


def _moment(text: str) -> str:
    """A moment as events have it: so long ago, at that time of day, or on that day."""
    now = datetime.now().astimezone()
    amount, unit = text[:-1], text[-1:]
    try:
        if unit in _UNITS:
            ago = decimal(amount)
            if ago is None:
                raise ValueError
            moment = now - timedelta(**{_UNITS[unit]: ago})
        elif ":" in text and "-" not in text:
            moment = datetime.combine(now, time.fromisoformat(text.zfill(5)), now.tzinfo)
            moment -= timedelta(days=moment > now)
        else:
            moment = datetime.fromisoformat(text.zfill(5)).astimezone()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{shortened(text)!r} is no time: 5m, 14:30, 2026-11-23T14:30"
        ) from None
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}000Z"
