"""How far the stream is complete: the time before which nothing can still arrive.

Every program takes its attempt number before it reads the clock. So an attempt that is stamped at
or before a moment t0 has a number below the attempt counters as read after t0. Once all numbers
below them have arrived, or are known to be lost, everything stamped up to t0 is there: t0 is an
exact watermark, on any transport, whatever a program, a CPU or a virtual machine sleeps through
between its number, its stamp and its record.

A reading that is not complete at once is kept until it is. Numbers that are not in a drained
buffer after a long patience are awaited no more.
"""

from __future__ import annotations

from agentd.core.loss.tracker import LossTracker, PerCpu

PATIENCE_NS = 1_000_000_000
"""How long numbers that neither arrive nor are counted as failed may hold up the stream."""


class Watermark:
    """Follows the readings of one stream's attempt counters."""

    def __init__(self, losses: LossTracker) -> None:
        self.safe_ns = 0
        """Everything stamped at or before it has arrived or is lost."""
        self._losses = losses
        self._pending: tuple[int, PerCpu] | None = None

    def advance(self, now_ns: int, seq: PerCpu, *, drained: bool) -> int:
        """Take a reading whose drain's events and losses have been told to the tracker.

        ``now_ns`` was read before ``seq``, and both before the drain. Gives ``safe_ns``.
        """
        if self._losses.complete_below(seq):
            self.safe_ns = now_ns
            self._pending = None
            return self.safe_ns
        pending_ns, pending_seq = self._pending or (now_ns, seq)
        patient = not drained or now_ns - pending_ns <= PATIENCE_NS
        if not patient:
            self._losses.give_up_below(pending_seq, now_ns)
        if self._losses.complete_below(pending_seq):
            self.safe_ns = pending_ns
            pending_ns, pending_seq = now_ns, seq
        self._pending = (pending_ns, pending_seq)
        return self.safe_ns
