"""Answers to one question about the tree, in a copy of the daemon: JSON, in bounded pieces.

Runs where it may take its time, and where it may fail: nothing here waits for the event loop.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentd.core.tree.ancestry import latest
from agentd.core.tree.process import Process
from agentd.core.tree.tree import Tree
from agentd.errors import AgentdError
from agentd.filters.facts import FactFinder
from agentd.filters.parameters import EXITED, EXPLAIN, FILTER, ID, PROCESSES, ParameterError, Query
from agentd.filters.patterns import QuestionSearch, Search
from agentd.runtime.packing import pack, unpack
from agentd.snapshot.describe import Describer
from agentd.snapshot.question import BODY, END, HEAD, PIECE_BYTES, QUESTION_BYTES
from agentd.terminal.escape import shortened

if TYPE_CHECKING:
    from agentd.filters.language import ParsedFilter


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about. ``entity``: the first digits of the boot id."""

    tree: Tree
    entity: str
    wall_offset_ns: Callable[[], int]
    facts: FactFinder

    def describer(self) -> Describer:
        """Of the tree as it is now."""
        return Describer(self.tree, self.entity, self.wall_offset_ns(), self.facts)


class _RefusedError(Exception):
    """A question that has no answer: status, and why."""


def answer(subject: Subject, fd: int) -> None:
    """Read a question there, and answer it. Raises OSError when nobody wants the answer."""
    with socket.socket(fileno=fd) as asked:
        question = unpack(asked.recv(QUESTION_BYTES))
        try:
            content_type, pieces = _ANSWERS[question["path"]](subject, question["query"])
            status = 200
        except ParameterError as wrong:
            status, (content_type, pieces) = 400, _error(str(wrong))
        except _RefusedError as refused:
            status, (content_type, pieces) = refused.args[0], _error(refused.args[1])
        asked.send(HEAD + pack((status, content_type)))
        for piece in joined(pieces):
            asked.send(BODY + piece)
        asked.send(END)


def _error(message: str) -> tuple[str, Iterator[str]]:
    return "application/json", iter([json.dumps({"error": message}) + "\n"])


def joined(texts: Iterable[str]) -> Iterator[bytes]:
    """ASCII texts as pieces of the length that a message may have."""
    waiting, size = list[str](), 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= PIECE_BYTES:
            data = "".join(waiting).encode("ascii")
            whole = size - size % PIECE_BYTES
            for start in range(0, whole, PIECE_BYTES):
                yield data[start : start + PIECE_BYTES]
            waiting, size = [data[whole:].decode("ascii")], size - whole
    if size:
        yield "".join(waiting).encode("ascii")


def _explain(subject: Subject, query: Query) -> tuple[str, Iterator[str]]:
    wanted = ID.read(query)
    process = _find(subject, wanted)
    if process is None:
        raise _RefusedError(
            404, f"nothing is known of {shortened(wanted)}: it exited too long ago, if ever"
        )
    return "application/json", object_texts(subject.describer().explained(process))


def object_texts(values: dict[str, Any]) -> Iterator[str]:
    """A line of JSON, an object; the values of those that are iterators one after another."""
    before = "{"
    for name, value in values.items():
        yield f"{before}{json.dumps(name)}: "
        if isinstance(value, Iterator):
            yield from _list_texts(value)
        else:
            yield json.dumps(value)
        before = ", "
    yield "}\n"


def _list_texts(values: Iterator[Any]) -> Iterator[str]:
    before = "["
    for value in values:
        yield f"{before}{json.dumps(value)}"
        before = ", "
    yield "[]" if before == "[" else "]"


def _processes(subject: Subject, query: Query) -> tuple[str, Iterator[str]]:
    """A line for each that is wanted: the live ones, and with ``exited=1`` those remembered."""
    filters, tree = _filters(query.get(FILTER.name, ())), subject.tree
    found: list[Process] = list(tree.living.values())
    if EXITED.read(query) == "1":
        found += tree.departed.values()
    if filters:  # all of them before the answer begins, which may be an error
        search = QuestionSearch()
        found = [one for one in found if _is_wanted(filters, one, subject.facts, search)]
    describe = subject.describer().process
    return "application/x-ndjson", (json.dumps(describe(process)) + "\n" for process in found)


def _filters(texts: Iterable[str]) -> list[ParsedFilter]:
    from agentd.filters.language import parse_filter  # noqa: PLC0415 (memory)

    try:
        return [parse_filter(text) for text in texts]
    except AgentdError as error:
        raise _RefusedError(400, str(error)) from None


def _is_wanted(
    filters: Iterable[ParsedFilter], process: Process, finder: FactFinder, search: Search
) -> bool:
    """Whether each filter wants it. Undecided, it would make the answer wrong: that is refused."""
    facts, pid = finder.of_process(process), process.key[0]
    verdicts = [wanted.verdict(facts, search) for wanted in filters]
    if False in verdicts:
        return False
    if None in verdicts:
        raise _RefusedError(
            503,
            f"the filter takes too long on process {pid}: make its pattern simpler,"
            f" or put this before it: pid != {pid} and",
        )
    return True


def _find(subject: Subject, asked: str) -> Process | None:
    """By pid or by entity id."""
    whole = re.fullmatch(r"([0-9a-f]{16})-(\d{1,10})-(\d{1,20})", asked, re.ASCII)
    if whole is not None:
        if whole[1] != subject.entity:
            raise _RefusedError(400, f"{asked} is of another boot, or of another host")
        return subject.tree.find((int(whole[2]), int(whole[3])))
    if re.fullmatch(r"\d{1,10}", asked, re.ASCII):
        return latest(subject.tree, int(asked))
    raise _RefusedError(400, f"{shortened(asked)!r} is no pid and no entity id")


_ANSWERS: dict[str, Callable[[Subject, Query], tuple[str, Iterator[str]]]] = {
    EXPLAIN.path: _explain,
    PROCESSES.path: _processes,
}
