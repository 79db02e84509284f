"""agentd.front.routes: what is refused before anything is asked"""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast
from urllib.parse import quote

import pytest

from agentd.front.routes import Sources, make_app


class _Numbers:
    """Has a status."""

    async def latest(self, seconds: float = 0.0) -> dict[str, Any]:
        """As Numbers has it."""
        return {"status": {"is": "good"}}


class _Questions:
    """Says what it was asked."""

    async def answer(self, question: dict[str, Any], send: Any) -> None:
        """As Questions has it."""
        body = json.dumps(question).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def _ask(path: str, query: str) -> tuple[int, Any]:
    """Status and body."""
    sources = Sources(
        cast(Any, _Numbers()),
        cast(Any, _Questions()),
        cast(Any, None),
        {"json": cast(Any, None)},
        1,
    )
    failures: list[Exception] = []
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    asyncio.run(make_app(sources, failures.append)(scope, cast(Any, None), send))
    assert not failures
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/v1/explain", "id=1&id=2", "id is there twice"),
        ("/v1/processes", "exited=1&filter=live&exited=1", "exited is there twice"),
        ("/v1/status", "x=&x=", "x is there twice"),
        ("/v1/work", "seconds=1&seconds=2", "seconds is there twice"),
        ("/v1/work", "seconds=1_0", "seconds=1_0: not from"),
        ("/v1/work", f"seconds={quote(chr(0x661))}", ": not from"),
        ("/v1/work", "seconds=1e1", "not from"),
        ("/v1/work", "seconds=nan", "not from"),
        ("/v1/work", "seconds=", "not from"),
        ("/v1/work", "seconds=0", "not from"),
        ("/v1/work", f"seconds={'9' * 5000}", "not from"),
        ("/v1/follow", f"format={'x' * 5000}", "there is no format"),
        ("/v1/follow", f"utc_offset={'9' * 5000}", "not from"),
        ("/v1/explain", "&".join(f"a{number}=" for number in range(100)), "more than 64"),
        ("/v1/status", f"{'k' * 5000}=1&{'k' * 5000}=1", "is there twice"),
    ],
)
def test_parameters_that_nobody_can_mean(path: str, query: str, words: str) -> None:
    """One that is there twice, and numbers that only Python takes for some: 400, in few words."""
    status, answer = _ask(path, query)
    assert status == 400
    assert words in answer["error"]
    assert len(answer["error"]) < 400


def test_a_path_that_is_not_there() -> None:
    """Is named, as far as that is short."""
    status, answer = _ask(f"/v1/{'x' * 5000}", "")
    assert status == 404
    assert len(answer["error"]) < 400


def test_filters_may_be_several() -> None:
    """Each has to hold; an empty one lets everything through."""
    _, question = _ask("/v1/processes", "filter=live&filter=uid%3D0&filter=&exited=1")
    assert question["query"] == {"filter": ["live", "uid=0", ""], "exited": ["1"]}
