"""Runs a script in a guest: ``python3 -m tests.vm.run KERNEL SCRIPT [ARGUMENT]``, as root.

KERNEL is a release of Debian (``kernels.py``), or a folder into which a kernel package has been
unpacked. SCRIPT runs as root under a real systemd; it ends with a line ``VM-RESULT passed=N
failed=M``, which becomes the exit code. It takes minutes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.vm.guest import boot
from tests.vm.kernels import unpacked

LIMIT_SECONDS = 1500


def run(kernel: str, script: Path, argument: str = "") -> int:
    """The exit code: 0 if the script says that nothing failed."""
    result = None
    for line in boot(unpacked(kernel), script, argument, LIMIT_SECONDS):
        print(line, flush=True)
        result = re.match(r"VM-RESULT passed=(\d+) failed=(\d+)", line) or result
    if result is None:
        print("the guest ended without a result", file=sys.stderr)
        return 1
    return int(int(result[2]) > 0)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], Path(sys.argv[2]).resolve(), *sys.argv[3:4]))
