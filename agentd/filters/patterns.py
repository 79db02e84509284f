"""Regular expressions that people write, searched in texts that strangers write.

``re`` has no bound: one pattern and one argument can hold it for years. So these run on ``regex``,
which stops at a time limit, and all searches of a ``Matcher`` draw on one allowance of time. A
search that is not finished has no result, and its caller decides what that means.

The language is that of ``re``. What ``regex`` has beyond it is refused: fuzzy matching and
recursion have no limit that holds, and the rest would need an explanation of its own. ``regex`` is
imported with the first pattern; without one, it takes no memory.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from agentd.core.allowance import Allowance
from agentd.core.redact import PatternError, Spans

PATTERN_MAX = 1000
"""Characters of a pattern."""
SEARCH_MAX_NS = 3_000_000
"""For one search. ``regex`` counts CPU time, and looks at it now and then: it took up to 16 ms."""
_LEAST_NS = 200_000
"""With less left, no search is begun; a typical one takes 2 µs."""
_QUESTION_SEARCH_MAX_NS, _QUESTION_MAX_NS = 250_000_000, 2_000_000_000
"""For one search of a question, and for all of them: half the CPU time of its process."""
_REPLAY_SECONDS = 10.0
"""For one search of a replay: three thousand times what the recorded run had for it."""
_OVERRUN_MAX_NS = 20_000_000
"""Paid for a search that was stopped, at most: a busy host can stop us for longer in between."""
_TRIES = 2
_SPANS_BETWEEN_LOOKS = 256

ITEMS_MAX = 10_000
"""What repeats may come to: ``regex`` writes each of them out, ``(a{1000}){1000}`` in 260 MB, and
10,000 in 1.6 MB and 7 ms."""
_REPEAT = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.S)

_FUZZY = re.compile(
    r"\{(?!\s*\d*\s*,?\s*\d*\s*\})[\s0-9idse<=+,]*[idse][\s0-9idse<=+,]*(:[^}]*)?\}"
)
_POSIX_CLASS = re.compile(r"\[:\^?\w+:\]")
_NOT_COMPILED = (re.error, OverflowError, RecursionError, ValueError, MemoryError)

_GIVEN_UP = (TimeoutError, MemoryError, RuntimeError)
"""What a search raises; RecursionError is a RuntimeError."""

Search = Callable[[Any, str], bool | None]
"""Whether a compiled pattern is found in a text; None if the search was given up."""


class OvertimeError(Exception):
    """A search of a replay took longer than the recorded run can have taken."""


def compile_text(pattern: str) -> Any:
    """A pattern to be searched in text. Raises PatternError."""
    return _compile(pattern, pattern)


def _compile(pattern: str, source: str | bytes) -> Any:
    """``source``: what is compiled. Raises PatternError, which names the pattern."""
    if len(pattern) > PATTERN_MAX:
        raise PatternError(pattern, f"is longer than {PATTERN_MAX} characters")
    if _FUZZY.search(pattern):
        raise PatternError(pattern, "has a brace that begins no repeat: write \\{ for a brace")
    if _POSIX_CLASS.search(pattern):
        raise PatternError(pattern, "has a POSIX class: write what it stands for, as [a-z]")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(source, 0 if isinstance(source, str) else re.ASCII)
    except _NOT_COMPILED as error:
        raise PatternError(pattern, f"not a regular expression: {error}") from None
    if items(pattern) > ITEMS_MAX:
        raise PatternError(pattern, f"has repeats that come to more than {ITEMS_MAX} items")
    import regex  # noqa: PLC0415 (memory)

    flags = regex.VERSION0 | (0 if isinstance(source, str) else regex.ASCII)
    try:
        return regex.compile(source, flags, cache_pattern=False)
    except MemoryError:
        raise PatternError(pattern, "takes too much memory to compile") from None
    except (*_NOT_COMPILED, regex.error) as error:
        raise PatternError(pattern, f"not a regular expression: {error}") from None


def items(pattern: str) -> int:
    """How many characters and classes it has when each repeat is written out."""
    groups: list[int] = []
    total = last = at = 0
    while at < len(pattern):
        character, end = pattern[at], at + 1
        if character == "(":
            groups.append(total)
            total = last = 0
        elif character == ")" and groups:
            last, total = total, groups.pop() + total
        elif (repeat := _REPEAT.match(pattern, at)) is not None:
            times = int(repeat[2] or repeat[1] or 1)
            total += last * (times - 1)
            last, end = last * times, repeat.end()
        else:
            if character == "\\":
                end += 1
            elif (members := _CLASS.match(pattern, at)) is not None:
                end = members.end()
            last = 1
            total += 1
        at = end
    return total


class QuestionSearch:
    """The searches of one question, in a process that does nothing else and may be killed.

    They have far more time than those of events: an answer is waited for. ``clock``: CPU time in
    ns, so that a busy host takes none of it away.
    """

    def __init__(self, clock: Callable[[], int] = time.process_time_ns) -> None:
        self._clock = clock
        self._until_ns = clock() + _QUESTION_MAX_NS

    def __call__(self, pattern: Any, text: str) -> bool | None:
        """Whether it is found; None if it was given up."""
        limit_ns = min(_QUESTION_SEARCH_MAX_NS, self._until_ns - self._clock())
        if limit_ns < _LEAST_NS:
            return None
        try:
            return pattern.search(text, timeout=limit_ns / 1e9) is not None
        except _GIVEN_UP:
            return None


class Matcher:
    """Searches within an allowance of time, of which a process has one.

    ``clock``: in ns; it never steps back. ``limited``: False for a replay, which searches only what
    was decided before; it raises OvertimeError for a search that cannot have been.
    """

    def __init__(
        self, clock: Callable[[], int] = time.perf_counter_ns, *, limited: bool = True
    ) -> None:
        self.given_up = 0
        """Searches that were not finished, or not begun."""
        self._clock = clock
        self._allowance = Allowance(clock()) if limited else None
        self._lap_ns = 0

    def search(self, pattern: Any, text: str) -> bool | None:
        """Whether it is found; None if it was given up."""
        found: bool | None = self._limited(
            lambda seconds: pattern.search(text, timeout=seconds) is not None
        )
        return found

    def own_pattern(self, pattern: str) -> OwnPattern:
        """One of ``redact.patterns``. Raises PatternError."""
        try:
            source = pattern.encode()
        except UnicodeEncodeError as error:
            raise PatternError(pattern, f"not a regular expression: {error}") from None
        return OwnPattern(_compile(pattern, source), self)

    def spans(self, pattern: Any, text: bytes, group: int) -> Spans | None:
        """Where all matches are; None if it was given up."""
        spans: Spans | None = self._limited(
            lambda seconds: self._spans(pattern, text, group, seconds)
        )
        return spans

    def start(self) -> None:
        """Work begins that is paid for at each ``go_on``."""
        self._lap_ns = self._clock()

    def go_on(self) -> bool:
        """Pay for what was done since the last call, but for searches. Whether time is left."""
        if self._allowance is None:
            return True
        now_ns = self._clock()
        self._allowance.pay(min(now_ns - self._lap_ns, SEARCH_MAX_NS))
        self._lap_ns = now_ns
        if self._allowance.left_ns(now_ns) >= _LEAST_NS:
            return True
        self.given_up += 1
        return False

    def _limited(self, search: Callable[[float], Any]) -> Any:
        """What the search returns; None if it was given up. It is paid for.

        One that runs out of time is tried again: a host that stopped us in between, or a virtual
        machine that was stopped, does so seldom, and a pattern that backtracks does so again.
        """
        if self._allowance is None:
            try:
                return search(_REPLAY_SECONDS)
            except _GIVEN_UP:
                raise OvertimeError(f"a pattern is searched for {_REPLAY_SECONDS:g} s") from None
        for _ in range(_TRIES):
            found = self._try(search, self._allowance)
            if found is not None:
                return found
        self.given_up += 1
        return None

    def _try(self, search: Callable[[float], Any], allowance: Allowance) -> Any:
        begun_ns = self._clock()
        limit_ns = min(SEARCH_MAX_NS, allowance.left_ns(begun_ns))
        if limit_ns < _LEAST_NS:
            return None
        found, most_ns = None, limit_ns
        try:
            found = search(limit_ns / 1e9)
        except _GIVEN_UP:
            most_ns = _OVERRUN_MAX_NS
        spent_ns = self._clock() - begun_ns
        self._lap_ns += spent_ns
        # what is above the limit is not ours: the host is busy, and did something else
        allowance.pay(min(spent_ns, most_ns))
        return found

    def _spans(self, pattern: Any, text: bytes, group: int, seconds: float) -> Spans:
        """Raises TimeoutError, also for too many matches: ``regex`` counts only its own time."""
        until_ns = self._clock() + int(seconds * 1e9)
        spans: Spans = []
        for match in pattern.finditer(text, timeout=seconds):
            spans.append(match.span(group))
            if len(spans) % _SPANS_BETWEEN_LOOKS:
                continue
            if self._clock() > until_ns:
                raise TimeoutError
        return spans


class OwnPattern:
    """A pattern of the configuration, for the redactor of the core (``core.redact.Finder``)."""

    def __init__(self, compiled: Any, matcher: Matcher) -> None:
        self.groups: Mapping[str, int] = compiled.groupindex
        self._compiled = compiled
        self._matcher = matcher

    def spans(self, text: bytes, group: int) -> Spans | None:
        """Where it is found; None if it gave up."""
        return self._matcher.spans(self._compiled, text, group)
