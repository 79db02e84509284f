"""Which events of a round are of one process and can be told as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter

from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Key
from agentd.core.wire import events as at
from agentd.core.wire.events import Event, Fork

Group = tuple[int, ...]
"""Places of entries, in order."""

_key: Callable[[Event], Key] = itemgetter(at.TGID, at.START_BOOTTIME_NS)
_whose = itemgetter(
    *map(Fork._fields.index, ("uid", "gid", "parent_tgid", "parent_start_boottime_ns"))
)


def lifecycles(entries: Sequence[Entry]) -> list[Group]:
    """The entries by process, where a process has several that say nothing against each other.

    In the order of their first; those alone are groups of one. No group has two of a kind.
    """
    groups: dict[Key, list[int]] = {}
    apart: list[Group] = []
    for place, entry in enumerate(entries):
        if isinstance(entry, Applied):
            key = _key(entry[0])
            known = groups.get(key)
            if known is None:
                groups[key] = [place]
            else:
                known.append(place)
        else:
            apart.append((place,))
    for places in groups.values():
        if len(places) == 1 or _are_one(entries, places):
            apart.append(tuple(places))
        else:
            apart += [(place,) for place in places]
    apart.sort()
    return apart


def _are_one(entries: Sequence[Entry], places: list[int]) -> bool:
    """Of different kinds, by one user and below one parent, and nothing of them is in doubt."""
    kinds = 0
    whose: object = None
    for place in places:
        entry = entries[place]
        assert isinstance(entry, Applied)
        event = entry.event
        kind, own = 1 << event.kind, _whose(event)
        if kinds & kind or entry.doubt is not None or whose not in (None, own):
            return False
        kinds |= kind
        whose = own
    return True
