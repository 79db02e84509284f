"""What becomes of an event when there was no time to search it: it passes, flagged and counted.

Each such decision is written into a recording, as a replay cannot know how fast the host was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from agentd.core.redact import Redactor
from agentd.core.steps import GaveUp, Journal, no_journal
from agentd.filters.patterns import Matcher

REDACTION = "redact.patterns"
OUTPUT_FILTER, JOURNAL_FILTER = "output.filter", "journal.filter"
"""Where patterns are searched: the keys of the configuration that hold them."""


class Undecided:
    """Counts what was left undecided, and does the searches of a process."""

    def __init__(self, journal: Journal = no_journal, matcher: Matcher | None = None) -> None:
        self.matcher = matcher or Matcher()
        self.totals = Counter({REDACTION: 0, OUTPUT_FILTER: 0, JOURNAL_FILTER: 0})
        """Events by the key of the pattern."""
        self._journal = journal

    def note(self, where: str, number: int, outcome: int | None) -> None:
        """A search ran out of time, and this was decided instead; None: nothing."""
        if outcome is None or where == REDACTION:
            self.totals[where] += 1
        self._journal(GaveUp(where, number, outcome))


class RedactionMeter:
    """Limits redaction to the allowance of the process (``core.redact.Meter``)."""

    def __init__(self, undecided: Undecided) -> None:
        self._undecided = undecided
        self._number = 0

    def start(self) -> None:
        """Another command line."""
        self._number += 1
        self._undecided.matcher.start()

    def may_search(self, place: int) -> bool:
        """Whether there is time."""
        return self._undecided.matcher.go_on()

    def gave_up(self, place: int) -> None:
        """Remember from where on it was replaced."""
        self._undecided.note(REDACTION, self._number, place)


class RecordedMeter:
    """Stops redaction where it stopped in a recording. ``places``: by number of command line."""

    def __init__(self, places: Mapping[int, int]) -> None:
        self._places = places
        self._number = 0

    def start(self) -> None:
        """Another command line."""
        self._number += 1

    def may_search(self, place: int) -> bool:
        """Whether the recorded run searched it."""
        return self._number not in self._places or place < self._places[self._number]

    def gave_up(self, place: int) -> None:
        """It is known."""


def make_redactor(patterns: Iterable[str], undecided: Undecided) -> Redactor:
    """A redactor within the allowance of the process. Raises PatternError."""
    return Redactor(patterns, undecided.matcher.own_pattern, RedactionMeter(undecided))
