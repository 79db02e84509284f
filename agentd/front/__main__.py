"""``python -P -m agentd.front FD``: how the daemon starts its front."""

from __future__ import annotations

import sys

from agentd.front.process import main
from agentd.host import capabilities

if __name__ == "__main__":
    capabilities.keep_only(())
    main(int(sys.argv[1]))
