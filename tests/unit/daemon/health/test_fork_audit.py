"""agentd.daemon.health.fork_audit"""

from __future__ import annotations

from dataclasses import dataclass

from agentd.daemon.health.fork_audit import ForkAudit


@dataclass
class Forks:
    """Two counters, one of which may go on while they are read."""

    seen: int = 100
    kernel: int = 1000
    pending: int = 0

    def read_seen(self) -> int:
        """Ours."""
        return self.seen

    def read_kernel(self) -> int:
        """The kernel's, with a fork just before it is read while some are pending."""
        if self.pending:
            self.pending -= 1
            self.seen += 1
            self.kernel += 1
        return self.kernel


def _audit(forks: Forks) -> ForkAudit:
    return ForkAudit(forks.read_seen, forks.read_kernel)


def test_both_grow_alike() -> None:
    """When both counters grow by the same, nothing is unaccounted."""
    forks = Forks()
    audit = _audit(forks)
    forks.seen += 7
    forks.kernel += 7
    assert audit.unaccounted() == 0


def test_forks_during_the_reading_are_no_difference() -> None:
    """Forks between two readings do not look like missed ones."""
    forks = Forks()
    audit = _audit(forks)
    forks.pending = 50
    assert audit.unaccounted() == 0


def test_what_the_kernel_alone_counted_shows() -> None:
    """Forks that the programs did not see are the difference."""
    forks = Forks()
    audit = _audit(forks)
    forks.kernel += 3
    assert audit.unaccounted() == 3


def test_what_we_alone_counted_shows_as_negative() -> None:
    """Forks that only the programs counted are a negative difference."""
    forks = Forks()
    audit = _audit(forks)
    forks.seen += 2
    assert audit.unaccounted() == -2
