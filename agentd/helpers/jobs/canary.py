"""The canary's process: it says which it is, and becomes another program."""

from __future__ import annotations

import os
from typing import Any

from agentd.helpers.worker import Answers, Progress


def run(answers: Answers, command: Any, progress: Progress) -> None:
    """Exec ``command``. The socket stays open until that has ended. Raises OSError."""
    answers.part(os.getpid())
    answers.socket.set_inheritable(True)
    os.execv(command, [command])
