"""Events that did not fit what the tree knew: the stream may have gaps."""

from __future__ import annotations

from typing import Final


class Misses:
    """How an event did not fit the tree."""

    FORK_PARENT_UNKNOWN: Final = "fork_parent_unknown"
    FORK_AFTER_EXIT: Final = "fork_after_exit"
    EXEC_UNKNOWN: Final = "exec_unknown"
    EXIT_UNKNOWN: Final = "exit_unknown"
    EXIT_MISSED: Final = "exit_missed"
    ALL: Final = (FORK_PARENT_UNKNOWN, FORK_AFTER_EXIT, EXEC_UNKNOWN, EXIT_UNKNOWN, EXIT_MISSED)
