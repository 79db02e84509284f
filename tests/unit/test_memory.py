"""The allocators' settings: what they may not do."""

from __future__ import annotations

import subprocess
import sys

_CYCLES = """
import weakref
from agentd import memory
memory.settle()
class Cycle: pass
there = weakref.WeakSet()
most = 0
for _ in range(5 * memory.NEW_OBJECTS_MAX):
    cycle = Cycle()
    cycle.self = cycle
    there.add(cycle)
    most = max(most, len(there))
print(most <= 2 * memory.NEW_OBJECTS_MAX)
"""


def test_cycles_do_not_pile_up() -> None:
    """Garbage that refers to itself is found, if later than by default."""
    command = [sys.executable, "-c", _CYCLES]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"
