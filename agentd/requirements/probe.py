"""Try what may crash Python in a process of its own: libraries that are not what they seem.

``python -m agentd.requirements.probe SUBJECT`` writes one JSON object: ``version``, or ``message``
and ``hint``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from agentd.errors import AgentdError, UnavailableError
from agentd.requirements import libraries, packages

_SECONDS = 60


def check_bcc() -> str:
    """Import BCC. Returns its version. Raises UnavailableError with the cause."""
    return _tried("bcc")


def check_libbpf() -> str:
    """Load libbpf. Raises UnavailableError with the cause."""
    return _tried("libbpf")


def how_it_ended(code: int) -> str:
    """A process's end, from its return code as subprocess gives it."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"


def _tried(subject: str) -> str:
    command = [sys.executable, "-P", "-m", __name__, subject]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
        answer = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{subject} could not be tried: {error}") from None
    except ValueError:
        raise UnavailableError(
            f"{subject} cannot be used: a Python that loads it {how_it_ended(done.returncode)}",
            f"{sys.executable} -X faulthandler -m {__name__} {subject} shows where",
        ) from None
    if "message" in answer:
        raise UnavailableError(answer["message"], answer["hint"])
    return str(answer["version"])


def _main() -> None:
    os.chdir("/")  # as the loader does: relative paths in the environment mean the same to both
    try:
        if sys.argv[1] == "bcc":
            version = str(getattr(packages.load(packages.BCC), "__version__", "of unknown version"))
        else:
            libraries.libbpf()
            version = ""
        print(json.dumps({"version": version}))
    except AgentdError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))


if __name__ == "__main__":
    _main()
