"""Simulated CPUs: probes that number, reserve, stamp and submit, and a reader in rounds.

The kernel's side of the account, in small: every attempt takes the next number of its CPU and then
either fails or is delivered. An attempt may be preempted between its number and its stamp, by
others of its CPU; records lie in the ring in the order of their stamps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from agentd.core.accounting import KernelCounters
from agentd.core.event import Event
from tests.records import CPUS, EXEC, EXIT, FORK, counters, execed, exited, fork

KINDS = (FORK, EXEC, EXIT)
_MAKE: dict[int, Callable[..., Event]] = {FORK: fork, EXEC: execed, EXIT: exited}


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

    def begin(self, cpu: int, kind: int, fails: bool) -> tuple[int, int, int, bool]:
        """Take a number and count the attempt."""
        seq = self.next_seq[cpu]
        self.next_seq[cpu] += 1
        self.attempts[kind, cpu] = self.attempts.get((kind, cpu), 0) + 1
        return cpu, kind, seq, fails

    def finish(self, attempt: tuple[int, int, int, bool]) -> None:
        """Fail, or stamp and submit."""
        cpu, kind, seq, fails = attempt
        if fails:
            self.failures[kind, cpu] = self.failures.get((kind, cpu), 0) + 1
            return
        self.now_ns += 1
        tgid = 100 + cpu * 100_000 + seq
        make = _MAKE[kind]
        self.ring.append(make(boottime_ns=self.now_ns, seq=seq, cpu=cpu, tgid=tgid))

    def counters(self) -> KernelCounters:
        """What user space reads."""
        return counters(self.attempts, self.failures)

    def drain(self) -> tuple[list[Event], int]:
        """All records, and the time before which nothing else can be stamped."""
        events, self.ring = self.ring, []
        self.delivered += events
        return events, self.now_ns


@st.composite
def actions(draw: st.DrawFn) -> list[tuple[str, int, int, bool]]:
    """A history: attempts on CPUs, some preempted, some failing, and rounds in between."""
    step = st.tuples(
        st.sampled_from(("attempt", "attempt", "attempt", "preempt", "resume", "round")),
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
    return action == "round"


def resume_all(kernel: Kernel) -> None:
    """Let every preempted program run to its end."""
    while kernel.preempted:
        kernel.finish(kernel.preempted.pop())
