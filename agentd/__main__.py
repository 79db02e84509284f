"""``python -m agentd``: the command line."""

from __future__ import annotations

from agentd.cli.main import main

if __name__ == "__main__":
    main()
