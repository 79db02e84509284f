"""The answer to ``agentd explain`` for people: the line of ancestors, then all of one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentd.terminal.escape import printable
from agentd.terminal.style import (
    BOLD,
    DIM,
    RED,
    YELLOW,
    command,
    ending,
    has_failed,
    moment,
    moment_and_offset,
    moment_briefly,
    paint,
)
from agentd.terminal.width import wrapped

_UNKNOWN = {
    "before_start": "it began before agentd did",
    "lost": "events were lost",
    "evicted": "there was no room for it",
    "outside": "the filter leaves it out",
    "disorder": "its events came late",
    "adopter": "the one before has exited, and /proc is still to show who adopted this",
}
_SHOWN = 20
"""Of children, and of gaps."""
_NARROW = 80
_AT_ONCE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Style:
    """How to write. ``columns``: of the terminal; None for no limit."""

    columns: int | None = None
    colour: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether room has to be saved."""
        return self.columns is not None and self.columns < _NARROW


def render(answer: dict[str, Any], style: Style | None = None) -> str:
    """Lines of text, safe to print."""
    style = style or Style()
    lines: list[str] = []
    for prefix, text in (*_chain(answer, style), ("", "")):
        lines += wrapped(prefix, text, style.columns)
    for label, text in _facts(answer, style):
        lines += wrapped(f"{label:<11}", text, style.columns)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _chain(answer: dict[str, Any], style: Style) -> Iterator[tuple[str, str]]:
    """Who is above it, the oldest first, each with when it began."""
    chain = answer["ancestors"][::-1]
    if answer["ancestors_gap"]:
        yield "…  ", f"further up nothing is known: {_UNKNOWN[answer['ancestors_gap']]}"
    relation = "creator"
    for depth, process in enumerate([*chain, answer["process"]]):
        when = moment_briefly if style.is_narrow else moment
        began = paint(DIM, when(process["start"]), colour=style.colour)
        who = _who(process, style)
        if process is answer["process"] and process["live"]:
            who = paint(BOLD, who, colour=style.colour)
        yield f"{began}  {_branch(depth, relation, style)}", who
        relation = process.get("relation", "")
    if any(ancestor["relation"] == "parent" for ancestor in chain):
        yield "", "(└┄ its parent when that was last seen; who created it is not known)"


def _branch(depth: int, relation: str, style: Style) -> str:
    line = "└─" if relation == "creator" else "└┄"
    return f"{' ' * ((1 if style.is_narrow else 3) * (depth - 1))}{line} " if depth else ""


def _facts(answer: dict[str, Any], style: Style) -> Iterator[tuple[str, str]]:
    """What there is to say of the process, by label."""
    process = answer["process"]
    yield "entity", process["entity_id"]
    yield (
        "started",
        f"{moment_and_offset(process['start'])}{'' if process['start_exact'] else ' or so'}",
    )
    if process["creator_unknown"]:
        yield "creator", f"not known: {_UNKNOWN[process['creator_unknown']]}"
    if process["parent_unknown"]:
        yield "parent", f"not known: {_UNKNOWN[process['parent_unknown']]}"
    if answer["images_forgotten"]:
        yield "ran", f"{answer['images_forgotten']} more before these, which are forgotten"
    for image in answer["images"]:
        since = f"{moment(image['since'])}  " if image["since"] else ""
        yield "ran", f"{since}{command(image)}"
    yield "state", _painted(_state(process), process, style)
    yield from _whose(process)
    if process["finished_cpu_seconds"]:
        yield "below", f"{process['finished_cpu_seconds']:.2f} s of CPU, of those that finished"
    if process["suspect"]:
        text = "events were lost since this was last verified"
        yield "suspect", paint(YELLOW, text, colour=style.colour)
    yield from _gaps(answer, style)
    children = answer["children"]
    for child in children[:_SHOWN]:
        yield "child", f"{moment(child['start'])}  {_who(child, style)}"
    if len(children) > _SHOWN:
        yield "", f"and {len(children) - _SHOWN} more; --json has them all"


def _whose(process: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Whose it is, and where it runs."""
    if process["user"]:
        name = process["user"]["name"]
        uid = process["user"]["id"]
        yield "user", printable(f"{name} ({uid})" if name else uid)
    if process["login"] is not None:
        yield "login", f"uid {process['login']}"
    for field in ("tty", "container", "unit", "slice", "cgroup"):
        if process[field]:
            yield field, printable(process[field])
    if process["session"]:
        yield "session", f"{process['session']}, process group {process['process_group']}"
    if process["entry"]:
        entry = process["entry"]
        yield "came by", f"{entry['type']}, in session {entry.get('pid', 'unknown')}"


def _gaps(answer: dict[str, Any], style: Style) -> Iterator[tuple[str, str]]:
    """Where the account of it may lack something."""
    gaps = _joined(answer["gaps"])
    for gap in gaps[-_SHOWN:]:
        kind = f"{gap['kind']} " if gap["kind"] else ""
        what = f"{gap['count']:,} {kind}event{'s' * (gap['count'] != 1)} lost"
        where = "" if gap["cpu"] is None else f" on CPU {gap['cpu']}"
        began = moment(gap["from"]) if gap["from"] else "?"
        text = f"{began} to {moment(gap['to'])[11:]}: {what}{where} ({gap['stage']})"
        yield "gap", paint(YELLOW, text, colour=style.colour)
    if len(gaps) > _SHOWN:
        count = sum(gap["count"] for gap in gaps)
        yield "", f"{len(gaps)} gaps with {count:,} events in all; --json has them"
    known = answer["gaps_known_since"]
    if known and answer["process"]["start"] < known:
        yield "gaps", f"known since {moment(known)}"


def _joined(gaps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that follow at once on another of their sort, as one: a full buffer has room at times.

    What came between was seen.
    """
    joined: list[dict[str, Any]] = []
    last: dict[Any, dict[str, Any]] = {}
    for gap in gaps:
        sort = gap["cpu"], gap["stage"], gap["kind"]
        before = last.get(sort)
        if before is not None and _seconds(gap["from"]) - _seconds(before["to"]) < _AT_ONCE_SECONDS:
            before |= {"to": max(before["to"], gap["to"]), "count": before["count"] + gap["count"]}
        else:
            last[sort] = dict(gap)
            joined.append(last[sort])
    return joined


def _seconds(moment_: str | None) -> float:
    return datetime.fromisoformat(f"{moment_[:26]}+00:00").timestamp() if moment_ else 0.0


def _who(process: dict[str, Any], style: Style) -> str:
    text = f"{process['pid']} {command(process)}"
    if process["live"]:
        return text
    return f"{text}  {_painted(f'[{_state(process)}]', process, style)}"


def _painted(text: str, process: dict[str, Any], style: Style) -> str:
    if process["live"]:
        return text
    return paint(RED if has_failed(process) else DIM, text, colour=style.colour)


def _state(process: dict[str, Any]) -> str:
    if process["live"]:
        return "live"
    how = ending(process)
    when = f"ended {moment(process['end'])}"
    return f"{when}, {how}" if how == "found gone" else f"{when} {how}"
