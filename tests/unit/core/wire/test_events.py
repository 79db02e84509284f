from __future__ import annotations

from agentd.core.wire import events
from agentd.core.wire.events import Exec, Exit, Fork


def test_numbers_of_fields_are_where_they_stand() -> None:
    """A field that is looked up by number is the one of that name, wherever there is one."""
    numbers = {
        name.lower(): value
        for name, value in vars(events).items()
        if name.isupper() and name != "NO_CPU"
    }
    assert len(numbers) > 10
    for name, number in numbers.items():
        kinds = [kind for kind in (Fork, Exec, Exit) if name in kind._fields]
        assert kinds, name
        assert {kind._fields.index(name) for kind in kinds} == {number}, name
