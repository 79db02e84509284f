"""What the control socket answers: JSON over HTTP, under /v1/."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from agentd import asgi
from agentd.asgi import Asgi, Receive, Scope, Send
from agentd.control.describe import Describer
from agentd.core.lineage import latest
from agentd.core.process import Process
from agentd.core.tree import Tree


def make_app(
    tree: Tree,
    entity: str,
    wall_offset_ns: Callable[[], int],
    on_bug: Callable[[Exception], None],
) -> Asgi:
    """The application over a tree. ``entity``: the first digits of the boot id."""

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/v1/explain":
            await _error(send, 404, f"there is no {scope['path']}; there is /v1/explain?id=PID")
            return
        asked = parse_qs(scope["query_string"].decode("ascii", "replace")).get("id", [""])[-1]
        try:
            process = _find(tree, entity, asked)
        except ValueError as error:
            await _error(send, 400, str(error))
            return
        if process is None:
            await _error(send, 404, f"nothing is known of {asked}: it exited too long ago, if ever")
            return
        describer = Describer(tree, entity, wall_offset_ns())
        await _json(send, 200, describer.explained(process))

    return asgi.application(route, on_bug)


def _find(tree: Tree, entity: str, asked: str) -> Process | None:
    """By pid or by entity id. Raises ValueError for what is neither, or of another boot."""
    whole = re.fullmatch(r"([0-9a-f]{16})-(\d{1,10})-(\d{1,20})", asked, re.ASCII)
    if whole is not None:
        if whole[1] != entity:
            raise ValueError(f"{asked} is of another boot, or of another host")
        return tree.find((int(whole[2]), int(whole[3])))
    if re.fullmatch(r"\d{1,10}", asked, re.ASCII):
        return latest(tree, int(asked))
    raise ValueError(f"{asked!r} is no pid and no entity id")


async def _json(send: Send, status: int, value: dict[str, Any]) -> None:
    await asgi.respond(send, status, "application/json", json.dumps(value).encode() + b"\n")


async def _error(send: Send, status: int, message: str) -> None:
    await _json(send, status, {"error": message})
