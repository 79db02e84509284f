"""What is answered under /v1/, over the control socket and behind a password at the metrics port.

docs/control.md describes it. Questions about the tree go to the daemon (``front.questions``);
whoever follows events or sums them up gets them from the stream (``front.stream``).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

from agentd import asgi
from agentd.asgi import Asgi, Receive, Scope, Send
from agentd.control.facts import EntryFilter
from agentd.core.process import Applied
from agentd.core.text import as_text
from agentd.errors import AgentdError
from agentd.front.filters import Verdict
from agentd.front.followers import Follower
from agentd.front.numbers import Numbers, SilentError
from agentd.front.questions import Questions
from agentd.front.stream import Stream
from agentd.front.work import Interval
from agentd.numerals import decimal
from agentd.sinks.renderer import Renderer
from agentd.toml_text import shortened

_SECONDS_MIN, _SECONDS_MAX = 0.1, 3600.0
_DAY_SECONDS = 86_400
_PARAMETERS_MAX = 64
STATUS = "/v1/status"
ABOUT_PROCESSES = ("/v1/explain", "/v1/processes")
STREAMS = ("/v1/follow", "/v1/work")


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
    query: dict[str, str]
    filters: list[str]
    """Each of which has to hold."""
    receive: Receive
    send: Send


def make_app(
    sources: Sources,
    on_failure: Callable[[Exception], None],
    paths: Sequence[str] = (STATUS, *ABOUT_PROCESSES, *STREAMS),
    *,
    locked: Sequence[str] = (),
) -> Asgi:
    """The application. ``paths``: what there is; ``locked``: what of that is not for anybody."""
    all_answers: dict[str, Callable[[Sources, _Asked], Awaitable[None]]] = {
        STATUS: _status,
        **dict.fromkeys(ABOUT_PROCESSES, _about_processes),
        "/v1/follow": _follow,
        "/v1/work": _work,
    }
    answers = {path: _not_for_anybody if path in locked else all_answers[path] for path in paths}

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        path, answer = scope["path"], answers.get(scope["path"])
        try:
            if answer is None:
                known = ", ".join(answers)
                raise _RefusedError(404, f"there is no {shortened(path)}; there is {known}")
            query, filters = _query(as_text(scope["query_string"]))
            await answer(sources, _Asked(path, query, filters, receive, send))
        except _RefusedError as refused:
            status, message = refused.args
            await asgi.as_json(send, status, {"error": message})
        except SilentError as silent:
            await asgi.as_json(send, 503, {"error": str(silent)})

    return asgi.application(route, on_failure)


def _query(text: str) -> tuple[dict[str, str], list[str]]:
    """The parameters of a question, and its filters, of which there may be several."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX)
    except ValueError:
        raise _RefusedError(400, f"more than {_PARAMETERS_MAX} parameters") from None
    query = {name: value for name, value in pairs if name != "filter"}
    filters = [value for name, value in pairs if name == "filter"]
    if len(query) + len(filters) != len(pairs):
        names = Counter(name for name, _ in pairs if name != "filter")
        raise _RefusedError(400, f"{shortened(names.most_common(1)[0][0])} is there twice")
    return query, filters


async def _status(sources: Sources, asked: _Asked) -> None:
    numbers = await sources.numbers.latest()
    await asgi.as_json(asked.send, 200, numbers["status"])


async def _about_processes(sources: Sources, asked: _Asked) -> None:
    question = {"path": asked.path, "query": asked.query, "filters": asked.filters}
    await sources.questions.answer(question, asked.send)


async def _not_for_anybody(sources: Sources, asked: _Asked) -> None:
    raise _RefusedError(
        403, "processes are shown at the control socket, or behind a password (metrics.web_config)"
    )


async def _follow(sources: Sources, asked: _Asked) -> None:
    """Events as they leave, until the peer does."""
    name, offset_seconds = asked.query.get("format", "json"), _utc_offset_seconds(asked)
    if name not in sources.renderers:
        raise _RefusedError(
            400, f"there is no format {shortened(name)}; there is {', '.join(sources.renderers)}"
        )
    verdict = await _verdict(sources, asked)
    follower = Follower(verdict, sources.renderers[name](offset_seconds))
    gone = asyncio.ensure_future(asgi.gone(asked.receive))
    try:
        with sources.stream.following(follower):
            await _start(asked.send, "application/x-ndjson" if name == "json" else "text/plain")
            while not gone.done():
                lines = asyncio.ensure_future(follower.lines())
                await asyncio.wait((gone, lines), return_when=asyncio.FIRST_COMPLETED)
                if lines.done():
                    await _body(asked.send, lines.result())
                lines.cancel()
    finally:
        gone.cancel()


async def _work(sources: Sources, asked: _Asked) -> None:
    """What was done in each interval, until the peer has gone."""
    seconds = _seconds(asked.query.get("seconds", "1"))
    wanted = await _entry_filter(sources, asked)
    interval = Interval()
    # numbers come once a second at most; of a longer interval they are to be of its end
    fresh = partial(sources.numbers.latest, seconds / 2 if seconds >= 1 else 1.0)
    gone = asyncio.ensure_future(asgi.gone(asked.receive))
    try:
        with sources.stream.adding(interval, wanted):
            await _start(asked.send, "application/x-ndjson")
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
                await _body(asked.send, json.dumps(line).encode() + b"\n")
    finally:
        gone.cancel()


def _seconds(text: str) -> float:
    seconds = decimal(text)
    if seconds is None or not _SECONDS_MIN <= seconds <= _SECONDS_MAX:
        raise _RefusedError(
            400, f"seconds={shortened(text)}: not from {_SECONDS_MIN} to {_SECONDS_MAX:g}"
        )
    return seconds


def _utc_offset_seconds(asked: _Asked) -> int | None:
    """What is added to UTC for the times of lines; None if the host's zone decides."""
    text = asked.query.get("utc_offset")
    if text is None:
        return None
    if not re.fullmatch(r"-?\d{1,5}", text, re.ASCII) or abs(int(text)) > _DAY_SECONDS:
        raise _RefusedError(400, f"utc_offset={shortened(text)}: no number of seconds within a day")
    return int(text)


async def _verdict(sources: Sources, asked: _Asked) -> Verdict:
    try:
        return await sources.stream.filters.parse(asked.filters)
    except AgentdError as error:
        raise _RefusedError(400, str(error)) from None


async def _entry_filter(sources: Sources, asked: _Asked) -> EntryFilter | None:
    if not asked.filters:
        return None
    verdict, facts_of = await _verdict(sources, asked), sources.stream.facts.of_event
    return lambda entry: isinstance(entry, Applied) and verdict(facts_of(entry)) is not False


async def _start(send: Send, content_type: str) -> None:
    headers: Iterable[asgi.Header] = [(b"content-type", content_type.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
