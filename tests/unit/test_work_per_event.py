"""How much work an event is, counted and not timed: bytecodes of a recording, played again."""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import agentd.core.tree.tree
from tests.fixtures.make import recording_of, replayed

PACKAGE = Path(agentd.__file__).parent
BYTECODES_AN_EVENT = {
    (3, 11): {"core": 782, "sinks": 485},
    (3, 13): {"core": 628, "sinks": 307},
}
"""By Python and room; compiled (packaging/compile), a call costs next to nothing. Lower them
with what was saved, and say why where they have to rise."""
ROOMS = ("core", "sinks")
TOLERANCE = 0.03


def bytecodes_by_room(path: Path) -> Counter[str]:
    """The bytecodes that the rooms' own code runs while a recording is played, and its lines."""
    rooms = {
        str(source): source.relative_to(PACKAGE).parts[0]
        for room in ROOMS
        for source in (PACKAGE / room).rglob("*.py")
        if source.name != "header.py"  # which is read once
    }
    counts: Counter[str] = Counter()

    def count(frame: FrameType, what: str, argument: Any) -> Any:
        if what == "call":
            if frame.f_code.co_filename not in rooms:
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif what == "opcode":
            counts[rooms[frame.f_code.co_filename]] += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        written = replayed(path)
    finally:
        sys.settrace(before)
    counts["lines"] = written.count(b"\n")
    return counts


@pytest.mark.skipif(sys.version_info[:2] not in BYTECODES_AN_EVENT, reason="no figure of it")
@pytest.mark.skipif(not agentd.core.tree.tree.__file__.endswith(".py"), reason="no bytecodes")
def test_an_event_is_no_more_work_than_it_was(tmp_path: Path) -> None:
    """From the record to its line; what comes once a round is shared out."""
    path = tmp_path / "recording"
    path.write_bytes(gzip.decompress(recording_of("busy-perf").read_bytes()))
    counts = bytecodes_by_room(path)
    for room, expected in BYTECODES_AN_EVENT[sys.version_info[:2]].items():
        taken = counts[room] / counts["lines"]
        assert taken == pytest.approx(expected, rel=TOLERANCE), f"{room}: {taken:.1f} an event"
