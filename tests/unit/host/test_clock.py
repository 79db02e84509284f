"""agentd.host.clock"""

from __future__ import annotations

from agentd.host import clock


def test_wall_clock_is_boottime_and_offset() -> None:
    """Boot time and the offset add up to the present."""
    assert clock.boottime_ns() + clock.wall_offset_ns() > 1_700_000_000_000_000_000
