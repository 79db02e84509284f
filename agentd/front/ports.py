"""The port for metrics, made and kept by the daemon: whoever connects waits for the front there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from typing import Any

from agentd.config.validate import split_address
from agentd.errors import AgentdError, ConfigError, TakenError
from agentd.runtime.trial import TrialError, run_in_child_async

_AGAIN_SECONDS = 5.0
"""Until a port that could not be had is tried again."""
_HINT = "another port, or --set metrics.listen= to do without"
_NUMERIC = socket.AI_NUMERICHOST
_FOR_NOW = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
"""Somebody else has the port; or the address is not there yet: it is being configured (DHCP), or
asked for (duplicate address detection of IPv6)."""


async def open_port(listen: str) -> socket.socket:
    """Listen there. Raises ConfigError, and TakenError if it may become possible.

    ``[::]`` takes connections over IPv4, too. The zone of a link-local address is a network
    device's name or number, as in ``[fe80::1%eth0]``.
    """
    address = split_address(listen)
    assert address is not None  # it has been checked
    try:
        family, sockaddr = await _resolved(*address)
        is_any = sockaddr[0] == "::"
        return socket.create_server(sockaddr, family=family, dualstack_ipv6=is_any)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        kind = TakenError if getattr(error, "errno", None) in _FOR_NOW else ConfigError
        raise kind(f'metrics.listen = "{listen}": cannot listen there: {reason}', _HINT) from None


async def _resolved(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """Family and address. Only a name needs the name service, which a child asks.

    Raises OSError.
    """
    if host == "localhost":
        return socket.AF_INET, ("127.0.0.1", port)
    with contextlib.suppress(socket.gaierror):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=_NUMERIC)
        return found[0][0], found[0][4]
    try:
        family, sockaddr = await run_in_child_async(host, lambda: _asked(host, port))
    except TrialError as error:
        raise OSError(errno.EADDRNOTAVAIL, str(error)) from None
    except AgentdError:
        unknown = "the name service does not know that name"
        raise OSError(errno.EADDRNOTAVAIL, unknown) from None
    return family, sockaddr


def _asked(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    """In a child: what the name service says, IPv4 first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, *_, sockaddr = min(found, key=lambda one: one[0] != socket.AF_INET)
    return int(family), sockaddr


async def open_later(listen: str, opened: Callable[[socket.socket], None]) -> None:
    """Try until the port can be had, which could not be had at first."""
    while True:
        await asyncio.sleep(_AGAIN_SECONDS)
        with contextlib.suppress(ConfigError):
            opened(await open_port(listen))
            return
