"""From the command line to a running daemon: sockets first, then programs, then the daemon.

A second agentd on a host starts without the default port and socket, which the first one has.
Where the configuration names others, it does not start without them.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from agentd.control.listening import listening
from agentd.daemon import Daemon
from agentd.errors import TakenError
from agentd.helpers.client import Helpers
from agentd.kernel.attach import Loader
from agentd.kernel.kept import KeptPrograms
from agentd.options import Options
from agentd.privileges import CAP_SYS_PTRACE
from agentd.service import Service
from agentd.settings import Config, Control, Metrics
from agentd.stopping import stop_on_signals, unless
from agentd.web import server as web_server


async def run(
    config: Config, programs: Loader | KeptPrograms, options: Options, log: Any, service: Service
) -> None:
    """Run until a signal, the duration's end, or the end of standard output's reader."""
    stopping = stop_on_signals()  # before anything is made that would stay behind
    with contextlib.ExitStack() as sockets:
        waits = service.keeps or config.metrics.listen == Metrics().listen
        web = web_server.door(config.metrics, log, waits=waits)
        if web is not None:
            sockets.callback(web.close)
        asking = _control_socket(config.control, sockets, log)
        helpers = Helpers(() if config.scan.socket else (CAP_SYS_PTRACE,), config.scan.socket, log)
        sockets.callback(helpers.close)
        helpers.begin()  # while the loader compiles, and while we have what a scan may keep
        attached = await unless(stopping, programs.attached())
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
            await daemon.run(web, asking)
        finally:
            daemon.close()


def _control_socket(
    control: Control, sockets: contextlib.ExitStack, log: Any
) -> socket.socket | None:
    """Listen where the configuration says, until ``sockets`` is closed."""
    if not control.socket:
        return None
    try:
        return sockets.enter_context(listening(control.socket))
    except TakenError:
        if control != Control():
            raise
        log.error("another agentd has the control socket", socket=control.socket)
        return None
