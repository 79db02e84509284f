"""agentd.filters"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentd.filters.fields import FIELDS, Facts
from agentd.filters.language import NESTING_MAX, TEXT_MAX, FilterError, parse_filter
from agentd.filters.patterns import QuestionSearch

CURL: Facts = {
    "pid": 12, "exe": "/usr/bin/curl", "args": 'curl -H "a"', "uid": 1000, "user": "alice",
    "live": True, "container": None, "action": "exec",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("uid == 1000", True),
        ("uid = 1000", True),
        ("uid != 1000", False),
        ("uid > 999 and uid < 1001", True),
        ("uid >= 1001 or uid <= 999", False),
        ("exe == /usr/bin/curl", True),
        ("exe in (/usr/bin/wget, /usr/bin/curl)", True),
        ('exe == "/usr/bin/curl"', True),
        ('exe ~ "^/usr/bin/"', True),
        ('exe !~ "wget"', True),
        ("user = alice", True),
        ("user in (alice, bob)", True),
        ("user in (bob)", False),
        ("pid in (1, 12)", True),
        ("container", False),
        ("not container", True),
        ("live", True),
        ("live = true AND NOT (uid = 0 OR uid = 1)", True),
        ("status = 0", False),
        ("status != 0", False),
        ("not status = 0", True),
        ("status < 5", False),
        ("container ~ '.'", False),
        ("container !~ '.'", False),
        ("not container ~ '.'", True),
        (r'args ~ "\"a\""', True),
        (r'exe ~ "\bcurl$"', True),
        ("action = exec and not uid = 0 or uid = 0", True),
    ],
)
def test_what_a_filter_means(text: str, holds: bool) -> None:
    """Comparisons, presence, and what joins them; with what is not known all are false."""
    assert parse_filter(text).verdict(CURL, QuestionSearch()) == holds


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("exee = 1", 1, "there is no field exee; did you mean exe?"),
        ("uid = 0 and zzz", 13, "there is no field zzz"),
        ("uid = root", 7, "uid is a number"),
        ("uid ~ 0", 5, "uid is no text"),
        ("exe < 1", 5, "exe is no number"),
        ('exe ~ "("', 7, "not a regular expression"),
        ("live = yes", 8, "true or false"),
        ("uid = ", 7, "it ends"),
        ("uid = 0 uid", 9, "not understood"),
        ("(uid = 0", 9, "it ends"),
        ("and", 1, "not understood"),
        ('exe = "', 7, "not understood"),
    ],
)
def test_errors_point_at_the_column(text: str, column: int, words: str) -> None:
    """A mistake is named, with a caret under its place."""
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    first, shown, caret = caught.value.message.splitlines()
    assert first.startswith(f"filter, column {column}: ")
    assert words in first
    assert shown.removeprefix("  ") == text
    assert caret.index("^") == column + 1


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a" * (TEXT_MAX + 1), TEXT_MAX + 1, "longer than 4000 characters"),
        ("not " * (NESTING_MAX + 1) + "uid", 261, "nested more than 64 deep"),
        ("uid = " + "9" * 21, 7, "no uid has more than 20 digits"),
        ("exe = 'a\0b'", 9, "a NUL"),
        ("exe = '\ud800'", 8, "a lone surrogate"),
        ("args ~ 'a{99999999999}'", 8, "not a regular expression"),
        ("args ~ 'a(?i)b'", 8, "not a regular expression"),
    ],
)
def test_what_would_take_too_much_is_an_error(text: str, column: int, words: str) -> None:
    """Length, nesting, digits and characters are bounded, and the message is short."""
    with pytest.raises(FilterError, match=f"^filter, column {column}: .*{words}") as caught:
        parse_filter(text)
    str(caught.value).encode()
    assert len(str(caught.value)) < 1000


def test_the_bounds_leave_room() -> None:
    """As deep, as long and as many digits as allowed are a filter, and it can be asked."""
    assert parse_filter("not " * (NESTING_MAX - 1) + "uid").verdict(CURL, QuestionSearch()) is False
    assert parse_filter("(" * 1900 + "uid" + ")" * 1900).verdict(CURL, QuestionSearch()) is True
    assert parse_filter("uid != " + "9" * 20).verdict(CURL, QuestionSearch()) is True


def _given_up(pattern: object, text: str) -> bool | None:
    return None


def _found(pattern: object, text: str) -> bool | None:
    return True


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("exe ~ x", None),
        ("exe !~ x", None),
        ("not exe ~ x", None),
        ("not not exe ~ x", None),
        ("exe ~ x and uid = 0", False),
        ("exe ~ x and uid = 1000", None),
        ("uid = 1000 and exe ~ x and pid = 1", False),
        ("exe ~ x or uid = 0", None),
        ("exe ~ x or uid = 1000", True),
        ("not (exe ~ x or uid = 1000)", False),
        ("not (exe ~ x and uid = 1000)", None),
        ("(exe ~ x or uid = 0) and pid = 1", False),
        ("container ~ x", False),
        ("container !~ x", False),
        ("uid = 0", False),
    ],
)
def test_what_was_given_up_is_undecided(text: str, verdict: bool | None) -> None:
    """It is so by Kleene's logic."""
    wanted = parse_filter(text)
    assert wanted.verdict(CURL, _given_up) is verdict
    assert wanted.verdict(CURL, _found) is not None


def test_the_documented_fields_are_there() -> None:
    """docs/filters.md has a row for each field, and for no other."""
    docs = (Path(__file__).resolve().parents[3] / "docs/filters.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (?:text|number|true or false) \| (.*) \|$", docs, re.M)
    assert rows == [(name, field.meaning) for name, field in FIELDS.items()]
