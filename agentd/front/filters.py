"""Filters of those who follow events or sum them up: strangers choose the patterns, too.

Parsing and searching each have an allowance of time (``core.allowance``) that all of them share. So
whatever they are, the front answers others. A filter that there is no time to parse waits. A search
that there is no time for is undecided: the event passes, flagged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from agentd.core.allowance import Allowance
from agentd.filters.fields import Facts
from agentd.filters.patterns import Matcher

FOLLOW_FILTER = "follow.filter"
"""What ``agentd.undecided`` says of an event that the filter of a follower could not decide on."""
_LOOK_SECONDS = 0.02
_PARSED_MAX_NS = 200_000_000
"""Paid for a filter, at most: twice what the longest takes. A busy host can stop us in between."""

Verdict: TypeAlias = Callable[[Facts], bool | None]
"""Whether something is wanted; None where there was no time to decide that."""


class Filters:
    """Those of one process. ``clock``: in ns; it never steps back."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._parsing = Allowance(clock())
        self._matcher = Matcher(clock)

    async def parse(self, texts: Sequence[str]) -> Verdict:
        """What all of these texts ask for. Raises FilterError."""
        from agentd.filters.language import parse_filter  # noqa: PLC0415 (memory)

        tests = []
        for text in texts:
            while self._parsing.left_ns(begun_ns := self._clock()) <= 0:
                await asyncio.sleep(_LOOK_SECONDS)
            try:
                tests.append(parse_filter(text).verdict)
            finally:
                self._parsing.pay(min(self._clock() - begun_ns, _PARSED_MAX_NS))
        search = self._matcher.search

        def verdict(facts: Facts) -> bool | None:
            undecided = False
            for test in tests:
                one = test(facts, search)
                if one is False:
                    return False
                undecided = undecided or one is None
            return None if undecided else True

        return verdict
