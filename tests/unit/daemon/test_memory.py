"""What the process holds in memory: what may pile up there, and what may go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agentd.daemon import memory


def _printed(program: str) -> str:
    """By a Python of its own: the settings are for a process."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


_CYCLES = """
import weakref
from agentd.daemon import memory
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
    assert _printed(_CYCLES) == "True\n"


_PAGES = """
import ssl
from agentd.daemon import memory
def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssFile"))
before = resident_kib()
memory.settle()
print(resident_kib() < before, ssl.create_default_context().check_hostname)
"""


def test_pages_that_only_the_start_needed_are_given_back() -> None:
    """What is resident of programs and libraries shrinks, and comes back where it is needed."""
    assert _printed(_PAGES) == "True True\n"


_BETWEEN = """
import asyncio
from agentd.daemon import memory
memory.GIVEN_BACK_AFTER_SECONDS = 0.0
def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
async def main():
    memory.settle()
    giving_back = memory.GivingBack()
    parts = [bytes(3000) for _ in range(10_000)]
    stay = parts[::20]
    parts.clear()
    held = resident_kib()
    giving_back.after_round()
    at_once = resident_kib()
    await asyncio.sleep(0.05)
    print(held - at_once < 1000, held - resident_kib() > 10_000)
asyncio.run(main())
"""

_LEFT = """
import asyncio
import weakref
from agentd.daemon import memory
memory.GIVEN_BACK_AFTER_SECONDS = 0.0
memory.ALL_EVERY = 3
class Cycle: pass
def cycle():
    made = Cycle()
    made.self = made
    return made
async def main():
    memory.settle()
    giving_back = memory.GivingBack()
    async def a_round():
        giving_back.after_round()
        await asyncio.sleep(0.05)
    old = cycle()
    there = weakref.ref(old)
    await a_round()
    kept = there() is old
    del old
    new_there = weakref.ref(cycle())
    await a_round()
    new_left = new_there()
    await a_round()
    print(kept, new_left, there())
asyncio.run(main())
"""


_ONCE = """
import asyncio
from agentd.daemon import memory
memory.GIVEN_BACK_AFTER_SECONDS = 0.1
times = []
class Counted(memory.GivingBack):
    def _give_back(self):
        times.append(1)
        super()._give_back()
async def main():
    giving_back = Counted()
    for _ in range(100):
        giving_back.after_round()
    await asyncio.sleep(0.5)
    print(len(times))
    giving_back.after_round()
    await asyncio.sleep(0.5)
    print(len(times))
asyncio.run(main())
"""


def test_what_refers_to_itself_only_is_let_go() -> None:
    """Without waiting for so much of it as the collector waits for."""
    assert _printed(_LEFT) == "True None None\n"


def test_it_is_once_for_many_rounds_and_never_without_one() -> None:
    """A storm's end is followed by it, and silence by nothing."""
    assert _printed(_ONCE) == "1\n2\n"


def test_what_lies_between_things_that_stay_is_given_back() -> None:
    """But not at the round itself."""
    assert _printed(_BETWEEN) == "True True\n"


def test_what_was_written_to_stays() -> None:
    """No area that holds anything but its file's pages is given back."""
    areas = list(memory.file_pages())
    smaps = Path("/proc/self/smaps").read_text()
    assert areas
    for address, size_bytes in areas:
        entry = smaps.partition(f"{address:08x}-{address + size_bytes:08x} ")[2]
        assert entry[:2] == "r-"
        assert "/" in entry.partition("\n")[0]
