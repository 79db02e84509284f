"""Whether a front can serve, found out in a copy of the daemon: YAML, TLS and HTTP are not its.

Where the copy crashes, hangs or is killed by what stands in the files, that is an error like any
other in them.
"""

from __future__ import annotations

import hashlib

from agentd.copies import result_of_copy
from agentd.errors import AgentdError, ConfigError, UnavailableError
from agentd.packing import pack, unpack
from agentd.requirements import packages
from agentd.settings import Metrics

_SECONDS = 60.0
"""Enough for a host that is very busy as agentd starts: the check has to import what it checks."""
_TEXT_MAX = 4000
_GOOD = ""
_ERRORS: dict[str, type[AgentdError]] = {
    error.__name__: error for error in (ConfigError, UnavailableError)
}
"""What a copy may say: by the name of the error, or that all is good."""


async def checked(metrics: Metrics) -> bytes:
    """Check the file, what it names, and the packages that a front needs.

    Returns what tells these contents from others. Raises ConfigError naming what is wrong in them,
    and UnavailableError naming a package.
    """
    try:
        answer = await result_of_copy(lambda: _check(metrics), _SECONDS)
    except (OSError, RuntimeError):  # there can be no process now
        answer = b""
    if not answer:  # no mistake that would last: a service is to be started again
        raise UnavailableError(
            "it could not be checked whether metrics and questions can be answered",
            f"a busy host, or a file that does not answer: {metrics.web_config or 'none is named'}",
        )
    kind, message, hint, contents = unpack(answer)
    if kind != _GOOD:
        raise _ERRORS[kind](message, hint)
    return bytes(contents)


def _check(metrics: Metrics) -> bytes:
    """In the copy."""
    try:
        packages.check_front()
        return pack((_GOOD, "", "", _contents(metrics)))
    except tuple(_ERRORS.values()) as error:
        return pack((type(error).__name__, error.message[:_TEXT_MAX], error.hint[:_TEXT_MAX], b""))


def _contents(metrics: Metrics) -> bytes:
    if not metrics.web_config:
        return b""
    from agentd.web.web_config import web_config_of  # noqa: PLC0415 (the daemon has none of it)

    return hashlib.sha256(repr(web_config_of(metrics)).encode()).digest()
