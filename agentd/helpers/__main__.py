"""The coordinator that the daemon starts.

Arguments: the socket on which the daemon asks, and the capabilities that a scan may keep.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys

from agentd.helpers.coordinator import JOBS, Coordinator
from agentd.host import capabilities


def main() -> int:
    """Serve the daemon, until it has gone."""
    fd, *kept = map(int, sys.argv[1:])
    capabilities.keep_only(kept)
    os.set_inheritable(fd, False)
    with socket.socket(fileno=fd) as control, contextlib.suppress(ValueError):
        Coordinator(control, JOBS, gives_up=bool(kept)).run()
        return os.EX_OK
    return os.EX_DATAERR


if __name__ == "__main__":
    sys.exit(main())
