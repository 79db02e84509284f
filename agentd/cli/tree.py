"""``agentd tree`` for people: who started whom, repeats collapsed, the exited dimmed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentd.terminal.style import DIM, RED, command, ending, has_failed, paint
from agentd.terminal.width import cut, width

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw. ``columns``: of the terminal; None for no limit."""

    columns: int | None
    colour: bool
    collapse: bool


class Forest:
    """Processes by who created them, or else by their parent."""

    def __init__(self, processes: list[Node]) -> None:
        ordered = sorted(processes, key=_started)
        self._by_id = {process["entity_id"]: process for process in ordered}
        self._children: dict[str, list[Node]] = defaultdict(list)
        self.roots: list[Node] = []
        for process in ordered:
            above = self._above(process)
            if above is None:
                self.roots.append(process)
            else:
                self._children[above].append(process)

    def of(self, pid: int) -> list[Node]:
        """The processes that have, or had, that pid."""
        return [process for process in self._by_id.values() if process["pid"] == pid]

    def below(self, roots: list[Node]) -> Iterator[Node]:
        """These, and all that stands below them."""
        waiting, met = roots[::-1], set[str]()
        while waiting:
            node = waiting.pop()
            if node["entity_id"] not in met:  # damaged records may claim a circle
                met.add(node["entity_id"])
                yield node
                waiting += self._children[node["entity_id"]][::-1]

    def lines(self, roots: list[Node], style: Style) -> Iterator[str]:
        """The trees below these."""
        waiting, met = [(root, "", "", 1) for root in reversed(roots)], set[str]()
        while waiting:
            node, first, rest, times = waiting.pop()
            yield _line(node, first, times, style)
            if node["entity_id"] in met:
                continue
            met.add(node["entity_id"])
            below = [
                (child, f"{rest}├─ ", f"{rest}│  ", count)
                for child, count in self._groups(node, style)
            ]
            if below:
                child, _, _, count = below[-1]
                below[-1] = child, f"{rest}└─ ", f"{rest}   ", count
            waiting += reversed(below)

    def _above(self, process: Node) -> str | None:
        """The nearest who is there: its creator, or who has adopted it."""
        for relation in ("creator", "parent"):
            other = process[relation]
            if other is not None and other["entity_id"] in self._by_id:
                entity_id = str(other["entity_id"])
                return entity_id if entity_id != process["entity_id"] else None
        return None

    def _groups(self, node: Node, style: Style) -> list[tuple[Node, int]]:
        """Its children; those that are alike and have none of their own, once."""
        groups: list[tuple[Node, int]] = []
        places: dict[Any, int] = {}
        for child in self._children[node["entity_id"]]:
            like = _alike(child)
            if style.collapse and not self._children[child["entity_id"]]:
                place = places.setdefault(like, len(groups))
                if place < len(groups):
                    groups[place] = groups[place][0], groups[place][1] + 1
                    continue
            groups.append((child, 1))
        return groups


def since(processes: list[Node], start: str) -> list[Node]:
    """Those that began at a moment or later, and the lines above them."""
    by_id = {process["entity_id"]: process for process in processes}
    kept: dict[str, Node] = {}
    for process in processes:
        if process["start"] < start:
            continue
        above: Node | None = process
        while above is not None and above["entity_id"] not in kept:
            kept[above["entity_id"]] = above
            other = above["creator"] or above["parent"]
            above = by_id.get(other["entity_id"]) if other else None
    return list(kept.values())


def _alike(process: Node) -> Any:
    """What those have in common that are drawn as one. A kernel thread has a name only."""
    how = process["live"], process["exit_code"], process["signal"], process["core_dumped"]
    return process["name"], process["executable"], tuple(process["args"]), how


def _line(node: Node, branch: str, times: int, style: Style) -> str:
    repeated = f"{times} × " if times > 1 else ""
    ended = "" if node["live"] else f"  [{ending(node)}]"
    text = f"{repeated}{node['pid']} {command(node)}"
    if style.columns is not None:
        branch = _near(branch, style.columns // 3)
        ended = cut(ended, style.columns // 2)
        text = cut(text, style.columns - width(branch) - width(ended))
    if node["live"]:
        return f"{branch}{text}"
    text = paint(DIM, text, colour=style.colour)
    code = RED if has_failed(node) else DIM
    return f"{branch}{text}{paint(code, ended, colour=style.colour)}"


def _near(branch: str, columns: int) -> str:
    """The part of a branch that is next to the process."""
    return branch if len(branch) <= columns else f"…{branch[1 - columns :]}"


def _started(process: Node) -> tuple[str, int]:
    return process["start"], process["pid"]
