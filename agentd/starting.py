"""From the command line to a running daemon: sockets first, then programs, then the daemon."""

from __future__ import annotations

import contextlib
from typing import Any

from agentd.control.listening import listening
from agentd.daemon import Daemon
from agentd.kernel.attach import Loader
from agentd.kernel.kept import KeptPrograms
from agentd.options import Options
from agentd.service import Service
from agentd.settings import Config
from agentd.stopping import stop_on_signals, unless
from agentd.web import server as web_server


async def run(
    config: Config, programs: Loader | KeptPrograms, options: Options, log: Any, service: Service
) -> None:
    """Run until a signal, the duration's end, or the end of standard output's reader."""
    with contextlib.ExitStack() as sockets:
        web, asking = web_server.door(config.metrics, log, waits=service.keeps), None
        if web is not None:
            sockets.callback(web.close)
        if config.control.socket:
            asking = sockets.enter_context(listening(config.control.socket))
        stopping = stop_on_signals()
        attached = await unless(stopping, programs.attached())
        if attached is None:
            return
        progress_fd = programs.progress_fd if isinstance(programs, KeptPrograms) else None
        daemon = Daemon(
            config, attached, options, log, stopping, service=service, progress_fd=progress_fd
        )
        programs.dismiss()
        try:
            if options.left.former is not None:
                await daemon.inherit(options.left.former)
            await daemon.run(web, asking)
        finally:
            daemon.close()
