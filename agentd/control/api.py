"""What the control socket answers: JSON over HTTP, under /v1/. docs/control.md describes it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from agentd import asgi
from agentd.asgi import Asgi, Receive, Scope, Send
from agentd.control.describe import Describer
from agentd.control.facts import EntryFilter, FactFinder
from agentd.control.followers import Follower, Followers
from agentd.control.workload import Interval, Workload
from agentd.core.lineage import latest
from agentd.core.process import Applied, Process
from agentd.core.text import as_text
from agentd.core.tree import Tree
from agentd.errors import AgentdError
from agentd.filtering.fields import Facts, Filter
from agentd.sinks.renderer import Renderer

_NAMES_MAX = 4096
"""Names that one interval tells apart; the rest is ``other``."""
_SECONDS_MIN, _SECONDS_MAX = 0.1, 3600.0
_SLICE = 200
"""Processes described at a time; then the rounds have their turn."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about. ``entity``: the first digits of the boot id."""

    tree: Tree
    entity: str
    wall_offset_ns: Callable[[], int]
    facts: FactFinder
    followers: Followers
    workload: Workload
    renderers: dict[str, Callable[[], Renderer]]
    """For followers, by format."""
    status: Callable[[], dict[str, Any]]
    page_bytes: int
    to_all: bool = False
    """Whoever it is may ask: they are told what /proc tells everybody, and no more."""

    def describer(self) -> Describer:
        """Of the tree as it is now."""
        return Describer(self.tree, self.entity, self.wall_offset_ns(), self.facts, self.to_all)

    def facts_of(self, process: Process) -> Facts:
        """For filters, whose answer tells a fact as well."""
        facts = self.facts.of_process(process)
        return facts | {"exe": None} if self.to_all else facts


class _RefusedError(Exception):
    """A question that has no answer: status, and why."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question."""

    query: dict[str, str]
    filters: list[str]
    """Each of which has to hold."""
    receive: Receive
    send: Send


def make_app(subject: Subject, on_bug: Callable[[Exception], None]) -> Asgi:
    """The application."""
    answers: dict[str, Callable[[Subject, _Asked], Awaitable[None]]] = {
        "/v1/status": _status,
        "/v1/explain": _explain,
        "/v1/processes": _processes,
        "/v1/follow": _follow,
        "/v1/work": _work,
    }

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        answer = answers.get(scope["path"])
        query = parse_qs(as_text(scope["query_string"]))
        last = {name: values[-1] for name, values in query.items()}
        asked = _Asked(last, query.get("filter", []), receive, send)
        try:
            if answer is None:
                raise _RefusedError(
                    404, f"there is no {scope['path']}; there is {', '.join(answers)}"
                )
            await answer(subject, asked)
        except _RefusedError as refused:
            status, message = refused.args
            await asgi.as_json(send, status, {"error": message})

    return asgi.application(route, on_bug)


async def _status(subject: Subject, asked: _Asked) -> None:
    await asgi.as_json(asked.send, 200, subject.status() | {"to_all": subject.to_all})


async def _explain(subject: Subject, asked: _Asked) -> None:
    wanted = asked.query.get("id", "")
    process = _find(subject, wanted)
    describer = subject.describer()
    if process is None or not describer.shows(process):
        why = "it exited too long ago, if ever"
        raise _RefusedError(404, f"nothing is known of {wanted}: {why}")
    await asgi.as_json(asked.send, 200, describer.explained(process))


async def _processes(subject: Subject, asked: _Asked) -> None:
    """A line for each that is wanted: the live ones, and with ``exited=1`` those remembered.

    These not where anybody may ask.
    """
    wanted = _filter(asked)
    tree = subject.tree
    found: list[Process] = list(tree.living.values())
    if asked.query.get("exited") == "1" and not subject.to_all:
        found += tree.departed.values()
    await _start(asked.send, "application/x-ndjson")
    describer = subject.describer()
    for start in range(0, len(found), _SLICE):
        some = found[start : start + _SLICE]
        lines = [
            json.dumps(describer.process(process)) + "\n"
            for process in some
            if wanted(subject.facts_of(process))
        ]
        await _body(asked.send, "".join(lines).encode(), more=True)
        await asyncio.sleep(0)
    await _body(asked.send, b"", more=False)


async def _follow(subject: Subject, asked: _Asked) -> None:
    """Events as they leave, until the peer does."""
    wanted = _filter(asked)
    name = asked.query.get("format", "json")
    if name not in subject.renderers:
        raise _RefusedError(
            400, f"there is no format {name}; there is {', '.join(subject.renderers)}"
        )
    follower = Follower(wanted, subject.renderers[name]())
    gone = asyncio.ensure_future(asgi.gone(asked.receive))
    try:
        with subject.followers.following(follower):
            await _start(asked.send, "application/x-ndjson" if name == "json" else "text/plain")
            while not gone.done():
                lines = asyncio.ensure_future(follower.lines())
                await asyncio.wait((gone, lines), return_when=asyncio.FIRST_COMPLETED)
                if lines.done():
                    await _body(asked.send, lines.result(), more=True)
                lines.cancel()
    finally:
        gone.cancel()


async def _work(subject: Subject, asked: _Asked) -> None:
    """What was done in each interval, until the peer has gone."""
    seconds = _seconds(asked.query.get("seconds", "1"))
    wanted = _entry_filter(subject, asked)
    interval = Interval(_NAMES_MAX)
    gone = asyncio.ensure_future(asgi.gone(asked.receive))
    try:
        with subject.workload.told(interval, wanted):
            await _start(asked.send, "application/x-ndjson")
            began, before = time.monotonic(), subject.status()
            while True:
                done, _ = await asyncio.wait((gone,), timeout=seconds)
                if done:
                    return
                now = time.monotonic()
                line = _work_line(interval, now - began, subject.page_bytes)
                status = line["status"] = subject.status()
                line["events"] = {
                    kind: count - before["events"][kind] for kind, count in status["events"].items()
                }
                interval.begin()
                began, before = now, status
                await _body(asked.send, json.dumps(line).encode() + b"\n", more=True)
    finally:
        gone.cancel()


def _work_line(interval: Interval, seconds: float, page_bytes: int) -> dict[str, Any]:
    parts = {
        "executables": interval.executables,
        "units": interval.units,
        "containers": interval.containers,
    }
    return {"seconds": round(seconds, 3)} | {
        part: {
            name: {
                "execs": work.execs,
                "exits": work.exits,
                "cpu_seconds": work.cpu_ns / 1e9,
                "peak_rss_bytes": work.max_rss_pages * page_bytes,
            }
            for name, work in sums.named.items()
        }
        for part, sums in parts.items()
    }


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not _SECONDS_MIN <= seconds <= _SECONDS_MAX:
        raise _RefusedError(400, f"seconds={text}: not from {_SECONDS_MIN} to {_SECONDS_MAX:g}")
    return seconds


def _filter(asked: _Asked) -> Filter:
    from agentd.filtering.language import parse_filter  # noqa: PLC0415 (memory)

    try:
        tests = [parse_filter(text) for text in asked.filters]
    except AgentdError as error:
        raise _RefusedError(400, str(error)) from None
    return tests[0] if len(tests) == 1 else lambda facts: all(test(facts) for test in tests)


def _entry_filter(subject: Subject, asked: _Asked) -> EntryFilter | None:
    if not asked.filters:
        return None
    wanted, facts_of = _filter(asked), subject.facts.of_event
    return lambda entry: isinstance(entry, Applied) and wanted(facts_of(entry))


def _find(subject: Subject, asked: str) -> Process | None:
    """By pid or by entity id."""
    whole = re.fullmatch(r"([0-9a-f]{16})-(\d{1,10})-(\d{1,20})", asked, re.ASCII)
    if whole is not None:
        if whole[1] != subject.entity:
            raise _RefusedError(400, f"{asked} is of another boot, or of another host")
        return subject.tree.find((int(whole[2]), int(whole[3])))
    if re.fullmatch(r"\d{1,10}", asked, re.ASCII):
        return latest(subject.tree, int(asked))
    raise _RefusedError(400, f"{asked!r} is no pid and no entity id")


async def _start(send: Send, content_type: str) -> None:
    headers: Iterable[asgi.Header] = [(b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _body(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
