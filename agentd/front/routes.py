"""What is answered under /v1/, over the control socket and behind a password at the metrics port.

docs/control.md describes it. Questions about the tree go to the daemon (``front.questions``);
whoever follows events or sums them up gets them from the stream (``front.stream``).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from agentd.core.text import as_text
from agentd.core.tree.process import Applied
from agentd.errors import AgentdError
from agentd.filters import parameters
from agentd.filters.facts import EntryFilter
from agentd.filters.parameters import (
    ABOUT_PROCESSES,
    FILTER,
    FORMAT,
    SECONDS,
    UTC_OFFSET,
    ParameterError,
    Query,
)
from agentd.front.filters import Verdict
from agentd.front.numbers import Numbers, SilentError
from agentd.front.questions import Questions
from agentd.front.stream import Stream
from agentd.front.subscribers import Follower
from agentd.front.usage import Interval
from agentd.http import asgi
from agentd.http.asgi import Asgi, Receive, Scope, Send
from agentd.sinks.render.renderer import Renderer
from agentd.terminal.escape import shortened


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from. ``renderers``: for followers, by format; each is made for an offset
    from UTC in seconds, None for that of the host.
    """

    numbers: Numbers
    questions: Questions
    stream: Stream
    renderers: dict[str, Callable[[int | None], Renderer]]
    page_bytes: int


class _RefusedError(Exception):
    """A question that has no answer: status, and why."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question."""

    path: str
    query: Query
    receive: Receive
    send: Send


def make_app(
    sources: Sources,
    on_failure: Callable[[Exception], None],
    paths: Sequence[str] = parameters.EVERYWHERE,
    *,
    locked: Sequence[str] = (),
) -> Asgi:
    """The application. ``paths``: what there is; ``locked``: what of that is not for anybody."""
    all_answers: dict[str, Callable[[Sources, _Asked], Awaitable[None]]] = {
        parameters.STATUS.path: _status,
        **dict.fromkeys(ABOUT_PROCESSES, _about_processes),
        parameters.FOLLOW.path: _follow,
        parameters.WORK.path: _work,
    }
    answers = {path: _not_for_anybody if path in locked else all_answers[path] for path in paths}

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        path, answer = scope["path"], answers.get(scope["path"])
        try:
            if answer is None:
                known = ", ".join(answers)
                raise _RefusedError(404, f"there is no {shortened(path)}; there is {known}")
            query = parameters.read_query(as_text(scope["query_string"]))
            await answer(sources, _Asked(path, query, receive, send))
        except ParameterError as wrong:
            await asgi.as_json(send, 400, {"error": str(wrong)})
        except _RefusedError as refused:
            status, message = refused.args
            await asgi.as_json(send, status, {"error": message})
        except SilentError as silent:
            await asgi.as_json(send, 503, {"error": str(silent)})

    return asgi.application(route, on_failure)


async def _status(sources: Sources, question: _Asked) -> None:
    numbers = await sources.numbers.latest()
    await asgi.as_json(question.send, 200, numbers["status"])


async def _about_processes(sources: Sources, question: _Asked) -> None:
    plain = {"path": question.path, "query": dict(question.query)}
    await sources.questions.answer(plain, question.send)


async def _not_for_anybody(sources: Sources, question: _Asked) -> None:
    raise _RefusedError(
        403, "processes are shown at the control socket, or behind a password (metrics.web_config)"
    )


async def _follow(sources: Sources, question: _Asked) -> None:
    """Events as they leave, until the peer does."""
    name, offset_seconds = FORMAT.read(question.query), UTC_OFFSET.whole_number(question.query)
    verdict = await _verdict(sources, question)
    follower = Follower(verdict, sources.renderers[name](offset_seconds))
    gone = asyncio.ensure_future(asgi.gone(question.receive))
    try:
        with sources.stream.following(follower):
            await _start(question.send, "application/x-ndjson" if name == "json" else "text/plain")
            while not gone.done():
                lines = asyncio.ensure_future(follower.lines())
                await asyncio.wait((gone, lines), return_when=asyncio.FIRST_COMPLETED)
                if lines.done():
                    await _body(question.send, lines.result())
                lines.cancel()
    finally:
        gone.cancel()


async def _work(sources: Sources, question: _Asked) -> None:
    """What was done in each interval, until the peer has gone."""
    seconds = SECONDS.number(question.query)
    wanted = await _entry_filter(sources, question)
    interval = Interval()
    # numbers come once a second at most; of a longer interval they are to be of its end
    fresh = partial(sources.numbers.latest, seconds / 2 if seconds >= 1 else 1.0)
    gone = asyncio.ensure_future(asgi.gone(question.receive))
    try:
        with sources.stream.adding(interval, wanted):
            await _start(question.send, "application/x-ndjson")
            began, before = time.monotonic(), (await fresh())["status"]
            while True:
                done, _ = await asyncio.wait((gone,), timeout=seconds)
                if done:
                    return
                now = time.monotonic()
                line = interval.line(now - began, sources.page_bytes)
                interval.begin()
                status = line["status"] = (await fresh())["status"]
                line["events"] = {
                    kind: count - before["events"][kind] for kind, count in status["events"].items()
                }
                began, before = now, status
                await _body(question.send, json.dumps(line).encode() + b"\n")
    finally:
        gone.cancel()


async def _verdict(sources: Sources, question: _Asked) -> Verdict:
    try:
        return await sources.stream.filters.parse(question.query.get(FILTER.name, []))
    except AgentdError as error:
        raise _RefusedError(400, str(error)) from None


async def _entry_filter(sources: Sources, question: _Asked) -> EntryFilter | None:
    if not question.query.get(FILTER.name):
        return None
    verdict, facts_of = await _verdict(sources, question), sources.stream.facts.of_event
    return lambda entry: isinstance(entry, Applied) and verdict(facts_of(entry)) is not False


async def _start(send: Send, content_type: str) -> None:
    headers: Iterable[asgi.Header] = [(b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
