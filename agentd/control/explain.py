"""The answer to ``agentd explain`` for people: the line of ancestors, then all of one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentd.control.words import command, ending, moment

_GAPS = {
    "before_start": "it began before agentd did",
    "lost": "events were lost",
    "evicted": "there was no room for it",
    "outside": "the filter leaves it out",
    "disorder": "its events came late",
}
_CHILDREN_SHOWN = 20


def render(answer: dict[str, Any]) -> str:
    """Lines of text, safe to print."""
    return "".join(f"{line}\n" for line in _lines(answer))


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    chain = answer["ancestors"][::-1]
    if answer["ancestors_gap"]:
        yield f"…  further up nothing is known: {_GAPS[answer['ancestors_gap']]}"
    relation = "creator"
    for depth, process in enumerate([*chain, answer["process"]]):
        yield f"{_branch(depth, relation)}{_who(process)}"
        relation = process.get("relation", "")
    if any(ancestor["relation"] == "parent" for ancestor in chain):
        yield "(└┄ its parent when that was last seen; who created it is not known)"
    yield ""
    yield from _facts(answer)


def _branch(depth: int, relation: str) -> str:
    line = "└─" if relation == "creator" else "└┄"
    return f"{'   ' * (depth - 1)}{line} " if depth else ""


def _facts(answer: dict[str, Any]) -> Iterator[str]:
    process = answer["process"]
    yield f"{'entity':<10} {process['entity_id']}"
    yield f"{'started':<10} {moment(process['start'])}{'' if process['start_exact'] else ' or so'}"
    for image in answer["images"]:
        since = f"{moment(image['since'])}  " if image["since"] else ""
        yield f"{'ran':<10} {since}{command(image)}"
    yield f"{'state':<10} {_state(process)}"
    if process["session"]:
        yield f"{'session':<10} {process['session']}, process group {process['process_group']}"
    if process["entry"]:
        yield f"{'came by':<10} {process['entry']['type']}, in session {process['entry']['pid']}"
    if process["suspect"]:
        yield f"{'suspect':<10} events were lost since this was last verified"
    children = answer["children"]
    for child in children[:_CHILDREN_SHOWN]:
        yield f"{'child':<10} {_who(child)}"
    if len(children) > _CHILDREN_SHOWN:
        yield f"{'':<10} and {len(children) - _CHILDREN_SHOWN} more; --json has them all"


def _who(process: dict[str, Any]) -> str:
    ended = "" if process["live"] else f"  [{_state(process)}]"
    return f"{process['pid']} {command(process)}{ended}"


def _state(process: dict[str, Any]) -> str:
    if process["live"]:
        return "live"
    how = ending(process)
    when = f"ended {moment(process['end'])}"
    return f"{when}, {how}" if how == "found gone" else f"{when} {how}"
