"""From the command line to a running daemon: sockets first, then programs, then the daemon.

A second agentd on a host starts without the default port and socket, which the first one has.
Where the configuration names others, it does not start without them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from agentd.config.schema import Config, Control, Metrics
from agentd.daemon.daemon import Daemon
from agentd.daemon.options import Options
from agentd.daemon.restart.resumed import KeptPrograms
from agentd.errors import TakenError
from agentd.front.checking import checked
from agentd.front.control_socket import listening
from agentd.front.listeners import CheckedWebConfig, Doors
from agentd.front.ports import open_port
from agentd.helpers.client import Helpers
from agentd.host.capabilities import CAP_SYS_PTRACE
from agentd.kernel.loader_client import Attached, Loader
from agentd.runtime.stopping import stop_on_signals, unless
from agentd.systemd.notify import Service


async def run(
    config: Config, programs: Loader | KeptPrograms, options: Options, log: Any, service: Service
) -> None:
    """Run until a signal, the duration's end, or the end of standard output's reader."""
    stopping = stop_on_signals()  # before anything is made that would stay behind
    with contextlib.ExitStack() as sockets:
        checking = asyncio.ensure_future(_checked(config, log))
        sockets.callback(checking.cancel)
        waits = service.keeps or config.metrics.listen == Metrics().listen
        port = await _port(config, log, waits=waits)
        if port is not None:
            sockets.callback(port.close)
        asking = _control_socket(config.control, sockets, log)
        helpers = Helpers(() if config.scan.socket else (CAP_SYS_PTRACE,), config.scan.socket, log)
        sockets.callback(helpers.close)
        helpers.begin()  # while the loader compiles, and while we have what a scan may keep
        attached = await unless(stopping, _after(checking, programs))
        if attached is None:
            return
        progress_fd = programs.progress_fd if isinstance(programs, KeptPrograms) else None
        daemon = Daemon(
            config,
            attached,
            options,
            log,
            stopping,
            service=service,
            helpers=helpers,
            progress_fd=progress_fd,
        )
        programs.dismiss()
        try:
            if options.left.former is not None:
                await daemon.inherit(options.left.former)
            await daemon.run(Doors(port, asking, checking.result()))
        finally:
            daemon.close()


def _control_socket(
    control: Control, sockets: contextlib.ExitStack, log: Any
) -> socket.socket | None:
    """Listen where the configuration says, until ``sockets`` is closed."""
    if not control.socket:
        return None
    try:
        return sockets.enter_context(listening(control.socket, log))
    except TakenError:
        if control != Control():
            raise
        log.error("another agentd has the control socket", socket=control.socket)
        return None


async def _checked(config: Config, log: Any) -> CheckedWebConfig:
    """Whether a front can serve what it is to serve."""
    found = await checked(config)
    if config.metrics.listen and config.metrics.web_config and not found.protection:
        log.warning(
            "the web-config asks for neither TLS nor passwords", file=config.metrics.web_config
        )
    return found


async def _after(
    checking: asyncio.Future[CheckedWebConfig], programs: Loader | KeptPrograms
) -> Attached:
    """The programs, once it is known that a front can serve. Both take their time."""
    await checking
    return await programs.attached()


async def _port(config: Config, log: Any, *, waits: bool) -> socket.socket | None:
    """The port for metrics, if one is wanted. Raises ConfigError if it cannot be had.

    Where one ``waits`` for a port that somebody else has, there is none yet: who takes it while
    agentd restarts must not keep a service from everything else.
    """
    listen = config.metrics.listen
    if not listen:
        return None
    try:
        return await open_port(listen)
    except TakenError as error:
        if not waits:
            raise
        log.error("the metrics port is taken", listen=listen, problem=error.message)
        return None
