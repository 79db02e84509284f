"""What one drain of a buffer brings."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.core.wire.decode import Span


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a transport delivered in one drain.

    ``drained``: the drain reached everything that the kernel had put there when it began.
    """

    data: bytes
    spans: list[Span]
    drained: bool
