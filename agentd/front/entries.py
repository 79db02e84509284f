"""Entries of the stream as plain values for msgpack, and back.

Beside each event stands what only the tree knows of its process: the session, and where it runs if
its image does not say so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Doubt, Image, Leaders
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import Event, Exec, Exit, Fork, Lost


class Beside(NamedTuple):
    """What the tree knows of the process of an event."""

    session: int | None
    place: bytes
    """Of the nearest creator whose image has one; empty where its own has, or none has."""
    seen_cgroup: str
    """A cgroup's path that /proc showed nearer than that; empty without."""


NOTHING = Beside(None, b"", "")

_EVENTS: tuple[type[Fork] | type[Exec] | type[Exit], ...] = (Fork, Exec, Exit)
_LOST, _INFERRED = -1, -2


def plain_entry(entry: Entry, beside: Beside) -> tuple[Any, ...]:
    """For ``read_entry``. The first value says what it is."""
    if isinstance(entry, Applied):
        return (_EVENTS.index(type(entry.event)), entry, beside)
    return (_LOST if isinstance(entry, Lost) else _INFERRED, entry)


def read_entry(plain: Any) -> tuple[Entry, Beside]:
    """An entry, and what stands beside it. Fails with ValueError or TypeError on other values."""
    if plain[0] == _LOST:
        return Lost(*plain[1]), NOTHING
    if plain[0] == _INFERRED:
        inferred = Inferred(*plain[1])
        return inferred._replace(
            image=Image(*inferred.image),
            parent_image=_image(inferred.parent_image),
            doubt=_doubt(inferred.doubt),
            before=_image(inferred.before),
        ), NOTHING
    number, values, beside = plain
    applied = Applied(*values)
    event: Event = _EVENTS[number](*applied.event)
    return applied._replace(
        event=event,
        image=Image(*applied.image),
        parent_image=_image(applied.parent_image),
        doubt=_doubt(applied.doubt),
        leaders=None if applied.leaders is None else Leaders(*applied.leaders),
    ), Beside(*beside)


def _image(plain: Any) -> Image | None:
    return None if plain is None else Image(*plain)


def _doubt(plain: Any) -> Doubt | None:
    return None if plain is None else Doubt(*plain)
