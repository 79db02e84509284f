"""agentd.core.batch"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.batch import Batch, wanted_of
from agentd.core.wire.events import Lost


def _entries(count: int) -> list[Lost]:
    return [Lost(number, number, 0, 1, "reserve", None, 0) for number in range(count)]


@given(st.lists(st.booleans(), max_size=20), st.integers(0, 5))
def test_what_is_wanted_keeps_its_number(wishes: list[bool], first: int) -> None:
    """In order, each with the number that it had, neighbours together."""
    batch = Batch(list(_entries(len(wishes))), first, 7)
    parts = wanted_of(batch, lambda entry, number: entry if wishes[number - first] else None)
    numbered = [
        (number, entry)
        for part in parts
        for number, entry in enumerate(part.entries, part.first_sequence)
    ]
    assert numbered == [
        (first + place, entry) for place, entry in enumerate(batch.entries) if wishes[place]
    ]
    assert all(part.entries and part.wall_offset_ns == 7 for part in parts)
    ends = [part.first_sequence + len(part.entries) for part in parts]
    assert all(end < part.first_sequence for end, part in zip(ends, parts[1:], strict=False))
