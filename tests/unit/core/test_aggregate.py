"""agentd.core.aggregate"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.aggregate import lifecycles
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Doubt, Image
from agentd.core.wire.events import Event, Lost
from tests.records import execed, exited, fork

IMAGE = Image(b"x", b"/bin/x", b"x\0", 1)
LOST = Lost(5, 0, 0, 1, "reserve", None, 0)


def _told(event: Event, doubt: Doubt | None = None) -> Applied:
    return Applied(event, IMAGE, None, False, doubt)


def _who(tgid: int, **more: int) -> dict[str, Any]:
    return {"tgid": tgid, "start_boottime_ns": tgid} | more


def test_a_short_life_is_one() -> None:
    """Fork, exec and exit, whatever others do between; a loss stands alone."""
    entries: list[Entry] = [
        _told(fork(**_who(1))), _told(fork(**_who(2))), LOST, _told(execed(**_who(1))),
        _told(exited(**_who(1))),
    ]  # fmt: skip
    assert lifecycles(entries) == [(0, 3, 4), (1,), (2,)]


def test_what_says_something_against_it() -> None:
    """Two of a kind, another user, another parent, a doubt: each event stays alone."""
    for second in (
        [execed(**_who(1)), execed(**_who(1))],
        [execed(**_who(1, uid=7))],
        [execed(**_who(1, parent_tgid=9))],
        [execed(**_who(2))],
    ):
        entries = [_told(fork(**_who(1))), *map(_told, second)]
        assert lifecycles(entries) == [(place,) for place in range(len(entries))]
    doubtful = [_told(fork(**_who(1))), _told(execed(**_who(1)), Doubt(True, False, ""))]
    assert lifecycles(doubtful) == [(0,), (1,)]


@given(st.lists(st.tuples(st.sampled_from([fork, execed, exited, None]), st.integers(1, 4))))
def test_every_entry_is_in_one_group(steps: list[tuple[Any, int]]) -> None:
    """None is left out, none comes twice, and groups stand in the order of their first."""
    entries: list[Entry] = [
        LOST if make is None else _told(make(**_who(tgid))) for make, tgid in steps
    ]
    groups = lifecycles(entries)
    assert sorted(place for group in groups for place in group) == list(range(len(entries)))
    assert all(list(group) == sorted(group) for group in groups)
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
