"""Which events of a round are of one process and can be told as one."""

from __future__ import annotations

from collections.abc import Sequence

from agentd.core.pipeline import Entry
from agentd.core.process import Applied, Key

Group = tuple[int, ...]
"""Places of entries, in order."""


def lifecycles(entries: Sequence[Entry]) -> list[Group]:
    """The entries by process, where a process has several that say nothing against each other.

    In the order of their first; those alone are groups of one. No group has two of a kind.
    """
    groups: dict[Key, list[int]] = {}
    apart: list[Group] = []
    for place, entry in enumerate(entries):
        if isinstance(entry, Applied):
            event = entry.event
            groups.setdefault((event.tgid, event.start_boottime_ns), []).append(place)
        else:
            apart.append((place,))
    for places in groups.values():
        if _are_one([entries[place] for place in places]):
            apart.append(tuple(places))
        else:
            apart += [(place,) for place in places]
    return sorted(apart)


def _are_one(entries: Sequence[Entry]) -> bool:
    """Of different kinds, by one user and below one parent, and nothing of them is in doubt."""
    events = [entry.event for entry in entries if isinstance(entry, Applied) and not entry.doubt]
    if len(events) < len(entries):
        return False
    kinds = {event.kind for event in events}
    whose = {(e.uid, e.gid, e.parent_tgid, e.parent_start_boottime_ns) for e in events}
    return len(kinds) == len(events) and len(whose) == 1
