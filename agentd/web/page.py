"""A page for who opens the port in a browser: three files, and the answers that they ask for.

Nothing is loaded from elsewhere, and the browser is told to refuse it (Content-Security-Policy).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from agentd import asgi
from agentd.asgi import Asgi, Receive, Scope, Send
from agentd.rules import split_address
from agentd.settings import Metrics
from agentd.web.web_config import WebConfig

ANSWERS = ("/v1/status", "/v1/processes", "/v1/explain")
"""What of the control socket's answers is to be had here, too."""

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
    if metrics.page != "auto":
        return metrics.page == "on"
    return asks_who_comes(web_config) or _is_loopback(metrics.listen)


def asks_who_comes(web_config: WebConfig) -> bool:
    """Whether a password or a certificate is needed."""
    certified = web_config.tls is not None and web_config.tls.needs_certificate
    return bool(web_config.users) or certified


def make_page(answers: Asgi, believes: Callable[[str], bool]) -> dict[str, Asgi]:
    """What answers, by path. ``believes``: whether a Host header is that of this page."""
    files = {path: (kind, (_FOLDER / name).read_bytes()) for path, (name, kind) in _FILES.items()}

    async def file(scope: Scope, receive: Receive, send: Send) -> None:
        kind, body = files[scope["path"]]
        await asgi.respond(send, 200, kind, body, _HEADERS)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if not believes(_host(scope)):
            await asgi.text(send, 403, "ask by address, as localhost, or by this host's name\n")
            return
        await answers(scope, receive, _with_headers(send))

    return {**dict.fromkeys(files, file), **dict.fromkeys(ANSWERS, answer)}


def is_own_name(host: str) -> bool:
    """Whether a Host header is an address or a name of this host.

    Another site's name that somebody has led to our address (DNS rebinding) is neither.
    """
    address = split_address(host)
    name = (address[0] if address else host.removeprefix("[").removesuffix("]")).lower()
    own = socket.gethostname().lower()
    return name in ("localhost", own, own.split(".")[0]) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(listen: str) -> bool:
    address = split_address(listen)
    if address is None:
        return False
    if address[0] == "localhost":
        return True
    return _is_address(address[0]) and ipaddress.ip_address(address[0]).is_loopback


def _host(scope: Scope) -> str:
    return bytes(dict(scope["headers"]).get(b"host", b"")).decode("latin-1")


def _with_headers(send: Send) -> Send:
    async def more(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], *_HEADERS]}  # type: ignore[misc]
        await send(message)

    return more
