"""Programs that another process had attached, in the place of a loader."""

from __future__ import annotations

from agentd.kernel.attach import Attached


class KeptPrograms:
    """They run already. ``progress_fd``: of the ledger of how far their stream was handed on."""

    def __init__(self, attached: Attached, progress_fd: int) -> None:
        self.progress_fd = progress_fd
        self._attached = attached

    async def attached(self) -> Attached:
        """At once."""
        return self._attached

    def dismiss(self) -> None:
        """Nobody is there to be dismissed."""

    def close(self) -> None:
        """Nobody is there to be ended."""
