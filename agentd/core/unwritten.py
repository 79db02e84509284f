"""What an output had not taken when its process ended, for the next one to write."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.core.undelivered import Span, Untold


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Payloads of one output, as they would have left."""

    form: str
    """What they are written in: another form cannot stand beside them."""
    payloads: tuple[bytes, ...]
    spans: tuple[tuple[int, Span], ...]
    """The events in them, by CPU."""

    @property
    def untold(self) -> Untold:
        """The events in them."""
        return Untold(dict(self.spans))


def whole_lines(payload: memoryview) -> bytes:
    """What is left of a stream's payload, from the beginning of the line that is not whole yet."""
    whole = bytes(payload.obj)
    sent = len(whole) - len(payload)
    return whole[whole.rfind(b"\n", 0, sent) + 1 :]
