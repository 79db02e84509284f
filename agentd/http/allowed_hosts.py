"""Who a browser says it asks, and on whose behalf: other sites' pages are refused.

A page of another site can make a browser send requests here. Browsers say so (``Origin``,
``Sec-Fetch-Site``). And somebody may lead a name of theirs to our address (DNS rebinding), so that
the page seems to be ours: then ``Host`` is that name.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from agentd.config.validate import split_address
from agentd.http.asgi import Scope

_RESOLV_CONF = Path("/etc/resolv.conf")
_OWN_SITES = (b"same-origin", b"none")
"""``none``: a person typed the address."""


def is_cross_site(scope: Scope) -> bool:
    """Whether another site's page makes this request."""
    headers = dict(scope["headers"])
    if headers.get(b"sec-fetch-site", b"none") not in _OWN_SITES:
        return True
    origin = headers.get(b"origin")
    return origin is not None and origin.rpartition(b"://")[2] != headers.get(b"host")


def is_own_host(scope: Scope) -> bool:
    """Whether ``Host`` is an address or a name of this host. HTTP/1.0 needs none."""
    host = dict(scope["headers"]).get(b"host")
    return host is None or is_own_name(host.decode("latin-1"))


def is_own_name(host: str) -> bool:
    """Whether that, perhaps with a port, is an address or a name of this host."""
    address = split_address(host)
    name = (address[0] if address else host.removeprefix("[").removesuffix("]")).lower()
    own = socket.gethostname().lower()
    names = {"localhost", own, own.split(".")[0], *(f"{own}.{domain}" for domain in _domains())}
    return name.removesuffix(".") in names or is_address(name)


def is_address(name: str) -> bool:
    """Whether that is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _domains() -> list[str]:
    """Those that this host puts behind short names (resolv.conf(5))."""
    try:
        lines = _RESOLV_CONF.read_text("ascii", "replace").splitlines()
    except OSError:
        return []
    words = [line.lower().split() for line in lines]
    return [name for found in words if found[:1] in (["search"], ["domain"]) for name in found[1:]]
