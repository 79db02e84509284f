"""Attempts of the kernel against what became of them."""

from __future__ import annotations

from agentd.core.loss.tracker import KernelCounters


class Balance:
    """Attempts against what became of them.

    At any moment a few attempts are between their counting and their record's arrival, so the
    difference is not 0 while processes come and go. But an attempt that was counted before the
    *previous* round has had a whole round to arrive. So the difference must lie between 0 and
    the attempts made since then, and the distance to that range is the imbalance.
    """

    def __init__(self) -> None:
        self._attempts_before = 0

    def imbalance(self, before: KernelCounters, accounted: int, after: KernelCounters) -> int:
        """Events that the account cannot explain; 0 unless there is a bug. Never negative.

        ``before`` and ``after`` were read before and after the round's drain, ``accounted`` are
        all events that arrived up to its end.
        """
        explained = accounted + after.failures_total
        missing = self._attempts_before - explained
        surplus = explained - after.attempts_total
        self._attempts_before = before.attempts_total
        return max(0, missing, surplus)
