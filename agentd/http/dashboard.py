"""A page for who opens the port in a browser: three files, and the answers that they ask for.

Nothing is loaded from elsewhere, and the browser is told to refuse it (Content-Security-Policy).
"""

from __future__ import annotations

from pathlib import Path

from agentd.config.schema import Metrics
from agentd.filters.parameters import AT_THE_PORT
from agentd.http import asgi
from agentd.http.asgi import Asgi, Receive, Scope, Send
from agentd.http.web_config import WebConfig

_FOLDER = Path(__file__).with_name("static")
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS: tuple[asgi.Header, ...] = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        b" img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


def is_wanted(metrics: Metrics, web_config: WebConfig) -> bool:
    """Whether there is to be a page: ``auto`` is where not just anybody can ask for it."""
    return asks_who_comes(web_config) if metrics.page == "auto" else metrics.page == "on"


def asks_who_comes(web_config: WebConfig) -> bool:
    """Whether a password or a certificate is needed."""
    certified = web_config.tls is not None and web_config.tls.needs_certificate
    return bool(web_config.users) or certified


def make_page(answers: Asgi) -> dict[str, Asgi]:
    """What answers, by path."""
    files = {path: (kind, (_FOLDER / name).read_bytes()) for path, (name, kind) in _FILES.items()}

    async def file(scope: Scope, receive: Receive, send: Send) -> None:
        kind, body = files[scope["path"]]
        await asgi.respond(send, 200, kind, body, _HEADERS)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await answers(scope, receive, _with_headers(send))

    return {**dict.fromkeys(files, file), **dict.fromkeys(AT_THE_PORT, answer)}


def _with_headers(send: Send) -> Send:
    async def more(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], *_HEADERS]}  # type: ignore[misc]
        await send(message)

    return more
