"""agentd.filters.patterns"""

from __future__ import annotations

import re
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.allowance import SAVED_MAX_NS
from agentd.core.redact import PatternError
from agentd.filters.patterns import (
    PATTERN_MAX,
    SEARCH_MAX_NS,
    Matcher,
    QuestionSearch,
    compile_text,
)

HOSTILE = "a" * 16_000 + "!"
"""An argument that a backtracking pattern is searched in for longer than anybody lives."""


class _Clock:
    """Stands still unless it is set."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class _Slow:
    """A pattern that is found, or given up, after so long. ``limits``: what it was given."""

    def __init__(self, clock: _Clock, took_ns: int, *, ends: bool = True) -> None:
        self._clock, self._took_ns, self._ends = clock, took_ns, ends
        self.limits: list[float] = []

    def search(self, text: str, timeout: float) -> bool:
        self.limits.append(timeout)
        self._clock.now_ns += self._took_ns
        if not self._ends:
            raise TimeoutError
        return True


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|a)*$", "(a|aa)+$", ".*.*.*[=:]"])
def test_no_search_takes_for_ever(pattern: str) -> None:
    """What backtracks is given up, as text and as bytes; ``re`` would never end."""
    compiled = compile_text(pattern)
    assert Matcher().search(compiled, HOSTILE) is None
    assert QuestionSearch()(compiled, HOSTILE) is None


def test_a_question_has_time_for_slow_searches() -> None:
    """Far more than an event has; all of its searches together have a limit, too."""
    clock = _Clock()
    search = QuestionSearch(clock)
    slow, endless = _Slow(clock, 40 * SEARCH_MAX_NS), _Slow(clock, 250_000_000, ends=False)
    assert [search(slow, ""), search(endless, "")] == [True, None]
    while search(slow, ""):
        pass
    asked = len(slow.limits)
    assert search(slow, "") is None
    assert len(slow.limits) == asked
    assert 1.8 < clock.now_ns / 1e9 < 2.2


@pytest.mark.parametrize("pattern", ["(a+)+$", "."])
def test_no_redaction_takes_for_ever(pattern: str) -> None:
    """Nor does finding all matches, be it one that backtracks or very many."""
    own = Matcher().own_pattern(pattern)
    assert own.spans(HOSTILE.encode() * 20, 0) is None


def test_one_hiccup_is_not_the_patterns() -> None:
    """A search that runs out of time once is tried again, and then it is decided."""
    clock = _Clock()

    class Hiccup(_Slow):
        def search(self, text: str, timeout: float) -> bool:
            self._ends = bool(self.limits)
            return super().search(text, timeout)

    matcher, once = Matcher(clock), Hiccup(clock, SEARCH_MAX_NS, ends=False)
    assert matcher.search(once, "") is True
    assert (len(once.limits), matcher.given_up) == (2, 0)


def test_an_allowance_is_shared_by_all_searches() -> None:
    """Each gets the limit or what is left; when that is too little, none is begun."""
    clock = _Clock()
    matcher, slow = Matcher(clock), _Slow(clock, SEARCH_MAX_NS, ends=False)
    begun = -1
    while len(slow.limits) > begun:
        begun = len(slow.limits)
        assert matcher.search(slow, "") is None
    assert slow.limits[0] == SEARCH_MAX_NS / 1e9
    # each took 3 ms and was given 0.6 ms while it lasted
    assert len(slow.limits) == pytest.approx(SAVED_MAX_NS / (SEARCH_MAX_NS * 0.8), abs=1)
    clock.now_ns += 1_000_000_000
    assert matcher.search(_Slow(clock, 2000), "") is True


def test_what_others_did_meanwhile_is_not_paid() -> None:
    """A search that ended in time took no longer than its limit, whatever the clock says."""
    clock = _Clock()
    matcher = Matcher(clock)
    for _ in range(10):
        assert matcher.search(_Slow(clock, 1_000_000_000), "") is True
    assert matcher.given_up == 0


def test_work_between_searches_is_paid() -> None:
    """``go_on`` pays for what was done since ``start``, and says when it is enough."""
    clock = _Clock()
    matcher = Matcher(clock)
    matcher.start()
    rounds = 0
    while matcher.go_on():
        clock.now_ns += 1_000_000
        rounds += 1
    assert rounds == pytest.approx(SAVED_MAX_NS / 800_000, abs=2)
    assert Matcher(clock, limited=False).go_on()


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("a" * (PATTERN_MAX + 1), "longer than 1000 characters"),
        ("(", "not a regular expression"),
        ("a{99999999999}", "not a regular expression"),
        ("(" * 400 + ")" * 400, "not a regular expression"),
        ("a(?i)b", "not a regular expression"),
        ("(?R)", "not a regular expression"),
        ("(a)(?1)", "not a regular expression"),
        ("(?&x)(?P<x>a)", "not a regular expression"),
        ("(?V1)a", "not a regular expression"),
        ("(?r)a", "not a regular expression"),
        ("(?b)a", "not a regular expression"),
        ("(?e)a", "not a regular expression"),
        ("(?|a|b)", "not a regular expression"),
        (r"\p{L}", "not a regular expression"),
        (r"\L<words>", "not a regular expression"),
        ("(*PRUNE)", "not a regular expression"),
        ("(?:foo){e}", "brace"),
        ("(?:foo){e<=3}", "brace"),
        ("(?:foo){1<=i<3,d}", "brace"),
        ("(?:foo){ 2i + 2d <= 5 }", "brace"),
        ("(?:foo){s<=2:[a-z]}", "brace"),
        ("[[:alpha:]]", "POSIX"),
        ("a\ud800", "not a regular expression"),
    ],
)
def test_what_is_not_of_re_is_refused(pattern: str, fault: str) -> None:
    """``regex`` would take most of it, and some of that has no bound."""
    with pytest.raises(PatternError, match=fault):
        Matcher().own_pattern(pattern)


ATOMS = [
    "a", "b", "c", " ", "=", ".", r"\w", r"\d", r"\s", "[a-c]", "[^b]", "^", "$", r"\b", "(?i)",
    "*", "+", "?", "{2}", "{1,2}", "{,2}", "|", "(", ")", "(?:", "(?=", "(?!", "(?<=a)", "(?<!a)",
    "(?P<secret>", r"\1", r"\{", "{", "}", "[", "]", "-", r"\x61", "*?", "++", "(?>",
]  # fmt: skip


PATTERNS = st.lists(st.sampled_from(ATOMS), max_size=8).map("".join)


@given(PATTERNS, st.text("aabbc =1A\n", max_size=8))
def test_it_finds_what_re_finds(pattern: str, text: str) -> None:
    """The language is that of ``re``: who reads its documentation is told the truth."""
    try:
        compiled = compile_text(pattern)
    except PatternError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = re.search(pattern, text)
    assert Matcher(limited=False).search(compiled, text) == (expected is not None)


def test_without_a_pattern_it_is_not_loaded() -> None:
    """``regex`` takes memory only where somebody has written a pattern."""
    code = (
        "import sys; from agentd.core.redact import *\n"
        "from agentd.config.schema import Config\n"
        "from agentd.filters.language import parse_filter\n"
        "from agentd.filters.patterns import Matcher\n"
        "Redactor(DEFAULT_PATTERNS, Matcher().own_pattern); parse_filter('uid = 0 or exe = /x')\n"
        "assert 'regex' not in sys.modules; parse_filter('exe ~ x'); assert 'regex' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "pattern", ["a{999999999}", "(a{1000}){1000}", "((a{100}){100}){100}", "([)]{9000}x){9}"]
)
def test_repeats_that_are_too_many(pattern: str) -> None:
    """They are refused before ``regex`` writes each of them out."""
    with pytest.raises(PatternError, match="repeats that come to more than"):
        compile_text(pattern)


@pytest.mark.parametrize(
    "pattern", [r"\d{1,3}(?:\.\d{1,3}){3}", "[]{]{64}.*[0-9]{64}.{1,200}", "a{,9}"]
)
def test_repeats_that_are_not(pattern: str) -> None:
    """What people write to find addresses and digests is taken."""
    assert compile_text(pattern) is not None
