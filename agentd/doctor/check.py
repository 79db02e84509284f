"""What one look at the host found."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = "good"
NOTE = "note"
"""agentd runs, but with less, or in another way, than on the best of hosts."""
BAD = "bad"
"""agentd cannot run."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One subject: fine, or what is wrong and what to do."""

    subject: str
    level: str
    what: str
    way_out: str = ""
