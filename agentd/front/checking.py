"""Whether a front can serve, found out in a child of the daemon: YAML, TLS and HTTP are not its.

Where the child crashes, hangs or is killed by what stands in the files, that is an error like any
other in them. What it read goes to the front in a memfd, which the daemon only passes on: so what
was checked is what is served, whatever becomes of the files meanwhile.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import Any

from agentd.config.schema import Config, Metrics
from agentd.errors import UnavailableError
from agentd.front.listeners import CheckedWebConfig
from agentd.requirements import packages
from agentd.runtime.packing import pack
from agentd.runtime.trial import Bounds, TrialError, run_in_child, run_in_child_async

_BOUNDS = Bounds(cpu_seconds=20, memory_bytes=256 << 20, seconds=60.0)
"""Enough for a host that is very busy as agentd starts: the check has to import what it checks."""
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


async def checked(config: Config) -> CheckedWebConfig:
    """Check the web-config, what it names, and the packages that a front needs, if there is to be
    one.

    Raises ConfigError naming what is wrong in them, and UnavailableError naming a package.
    """
    metrics = config.metrics
    if not (metrics.listen or config.control.socket):
        return CheckedWebConfig()
    fd = os.memfd_create("agentd-web-config", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        sections, protection = await run_in_child_async(
            _named(metrics), lambda: _check(metrics, fd), _BOUNDS, [fd]
        )
    except TrialError as error:  # no mistake that would last: a service is to be started again
        os.close(fd)
        raise UnavailableError(
            "it could not be checked whether metrics and questions can be answered",
            f"a busy host, or a file that does not answer: {error}",
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return CheckedWebConfig(fd, sections, frozenset(protection))


def check_web_config(metrics: Metrics) -> None:
    """Check the file, if one is named, and what it names. Raises ConfigError."""
    if metrics.web_config:
        run_in_child(_named(metrics), lambda: _read(metrics) and None, _BOUNDS)


def _named(metrics: Metrics) -> str:
    return metrics.web_config or "metrics"


def _check(metrics: Metrics, fd: int) -> Any:
    """In the child."""
    packages.check_front()
    found = _read(metrics)
    plain = found.plain()
    with open(fd, "wb", closefd=False) as file:
        file.write(pack(plain))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    sections = {name: hashlib.sha256(pack(value)).digest() for name, value in plain.items()}
    return sections, list(found.protection)


def _read(metrics: Metrics) -> Any:
    from agentd.http.web_config import web_config_of  # noqa: PLC0415 (the daemon has none of it)

    return web_config_of(metrics)
