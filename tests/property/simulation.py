"""Simulated CPUs: probes that number, stamp and hand over, and a reader in rounds.

The kernel's side of the account, in small: every attempt takes the next number of its CPU and then
either fails or is delivered. An attempt may be preempted between its number and its stamp, by
others of its CPU, and between its stamp and the hand-over: a virtual CPU can sleep anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from hypothesis import strategies as st

from agentd.core.loss.tracker import KernelCounters
from agentd.core.wire.events import Event
from tests.records import CPUS, EXEC, EXIT, FORK, counters, execed, exited, fork

KINDS = (FORK, EXEC, EXIT)
_MAKE: dict[int, Callable[..., Event]] = {FORK: fork, EXEC: execed, EXIT: exited}

Handover: TypeAlias = tuple[Event, bool]
"""A record, and whether it will find no room."""


@dataclass(slots=True)
class Kernel:
    """Some CPUs with their counters, and what the ring holds."""

    now_ns: int = 1000
    ring: list[Event] = field(default_factory=list)
    delivered: list[Event] = field(default_factory=list)
    attempts: dict[tuple[int, int], int] = field(default_factory=dict)
    failures: dict[tuple[int, int], int] = field(default_factory=dict)
    next_seq: list[int] = field(default_factory=lambda: [0] * CPUS)
    preempted: list[tuple[int, int, int, bool]] = field(default_factory=list)
    """Attempts that have a number, but no stamp yet."""
    asleep: list[Handover] = field(default_factory=list)
    """Records that are made, but not handed over yet."""

    def begin(self, cpu: int, kind: int, fails: bool) -> tuple[int, int, int, bool]:
        """Take a number and count the attempt."""
        seq = self.next_seq[cpu]
        self.next_seq[cpu] += 1
        self.attempts[kind, cpu] = self.attempts.get((kind, cpu), 0) + 1
        return cpu, kind, seq, fails

    def stamp(self, attempt: tuple[int, int, int, bool]) -> Handover:
        """Read the clock and make the record."""
        cpu, kind, seq, fails = attempt
        self.now_ns += 1
        tgid = 100 + cpu * 100_000 + seq
        return _MAKE[kind](boottime_ns=self.now_ns, seq=seq, cpu=cpu, tgid=tgid), fails

    def hand_over(self, handover: Handover) -> None:
        """Fail, or put the record where the reader finds it."""
        event, fails = handover
        if fails:
            key = event.kind, event.cpu
            self.failures[key] = self.failures.get(key, 0) + 1
        else:
            self.ring.append(event)

    def finish(self, attempt: tuple[int, int, int, bool]) -> None:
        """Stamp and hand over."""
        self.hand_over(self.stamp(attempt))

    def counters(self) -> KernelCounters:
        """What user space reads."""
        return counters(self.attempts, self.failures)

    def drain(self) -> tuple[list[Event], int]:
        """All records, and the time."""
        events, self.ring = self.ring, []
        self.delivered += events
        return events, self.now_ns


@st.composite
def actions(draw: st.DrawFn) -> list[tuple[str, int, int, bool]]:
    """A history: attempts on CPUs, some preempted, some failing, and rounds in between."""
    step = st.tuples(
        st.sampled_from(("attempt",) * 4 + ("preempt", "resume", "doze", "wake", "round")),
        st.integers(0, CPUS - 1),
        st.sampled_from(KINDS),
        st.booleans(),
    )
    return draw(st.lists(step, max_size=60))


def play(kernel: Kernel, step: tuple[str, int, int, bool]) -> bool:
    """Do one step; whether it is the reader's turn."""
    action, cpu, kind, fails = step
    if action == "attempt":
        kernel.finish(kernel.begin(cpu, kind, fails))
    elif action == "preempt":
        kernel.preempted.append(kernel.begin(cpu, kind, fails))
    elif action == "resume" and kernel.preempted:
        kernel.finish(kernel.preempted.pop())
    elif action == "doze":
        kernel.asleep.append(kernel.stamp(kernel.begin(cpu, kind, fails)))
    elif action == "wake" and kernel.asleep:
        kernel.hand_over(kernel.asleep.pop())
    return action == "round"


def resume_all(kernel: Kernel) -> None:
    """Let every preempted program run to its end."""
    while kernel.preempted:
        kernel.finish(kernel.preempted.pop())
    while kernel.asleep:
        kernel.hand_over(kernel.asleep.pop())
