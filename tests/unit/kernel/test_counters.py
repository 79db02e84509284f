"""agentd.kernel.counters"""

from __future__ import annotations

import os
import struct

from agentd.kernel.counters import Counters
from tests.records import WIRE


def test_counters_by_kind_and_cpu() -> None:
    """Each counter is found at its place in the map's memory, for every CPU."""
    layout = WIRE.layout("agentd_counters")
    words = len(layout.members)
    fd = os.memfd_create("counters")
    table = b"".join(
        struct.pack(f"={words}Q", *range(cpu * 100, cpu * 100 + words)) for cpu in (0, 1)
    )
    os.write(fd, table.ljust(4096, b"\0"))
    counters = Counters(fd, layout, 2, 3)
    now = counters.read()
    counters.close()
    names = list(layout.names)
    assert now.seq == (names.index("seq"), 100 + names.index("seq"))
    rows = [names.index(f"{word}_{kind}") for word in ("failures", "errors") for kind in range(3)]
    assert now.failures == tuple((row, 100 + row) for row in rows)
    assert now.threads == (names.index("threads"), 100 + names.index("threads"))
