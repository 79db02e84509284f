"""What a writer needs from a renderer."""

from __future__ import annotations

from typing import Protocol

from agentd.core.batch import Batch


class Renderer(Protocol):
    """Turns a batch into the bytes of one sink's format."""

    def render(self, batch: Batch) -> bytes:
        """The whole batch, each entry ended by a newline."""
