"""``python -P -m agentd.front FD``: how the daemon starts its front."""

from __future__ import annotations

import sys

from agentd import privileges
from agentd.front.process import main

if __name__ == "__main__":
    privileges.keep_only(())
    main(int(sys.argv[1]))
