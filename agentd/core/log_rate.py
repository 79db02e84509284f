"""How often something that a stranger can cause may be logged."""

from __future__ import annotations

_SECONDS = 60.0


class LogRate:
    """Allows one line a minute."""

    def __init__(self) -> None:
        self._next = 0.0

    def is_due(self, now: float) -> bool:
        """Whether a line may be logged now (seconds, of a clock that does not go back)."""
        if now < self._next:
            return False
        self._next = now + _SECONDS
        return True
