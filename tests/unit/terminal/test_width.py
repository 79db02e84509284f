"""agentd.terminal.width"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.terminal.width import cut, justified, left_out, narrowed, width, wrapped

RED, RESET = "\x1b[31m", "\x1b[0m"
TEXTS = st.text("ab 世界e\u0301é", max_size=40)


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("sleep", 5), ("世界", 4), ("e\u0301", 1), (f"{RED}a{RESET}b", 2)],
)
def test_width(text: str, columns: int) -> None:
    """CJK takes two columns each, what combines takes none, and neither do colours."""
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "left"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("世界世界", 6, "世界…"),
        ("世界世界", 7, "世界世…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        (f"{RED}abc{RESET}def", 3, f"{RED}ab…{RESET}"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_cut(text: str, columns: int, left: str) -> None:
    """To columns, not to characters; a colour that began also ends."""
    assert cut(text, columns) == left


@given(TEXTS, st.integers(0, 50))
def test_what_is_cut_fits(text: str, columns: int) -> None:
    """Whatever the text."""
    assert width(cut(text, columns)) <= columns


@given(TEXTS, st.integers(1, 50), st.booleans())
def test_justified(text: str, columns: int, right: bool) -> None:
    """Exactly so wide, but for half a character of two columns, which is filled up."""
    assert width(justified(text, columns, right=right)) == columns


@given(TEXTS, st.integers(4, 50))
def test_what_is_wrapped_fits(text: str, columns: int) -> None:
    """No line is too wide, and nothing but space gets lost."""
    lines = list(wrapped("ab ", text, columns))
    assert all(width(line) <= columns for line in lines)
    assert re.sub(" ", "", "".join(lines)) == re.sub(" ", "", f"ab {text}")


def test_wrapped_between_words() -> None:
    """Lines below stand behind the prefix; a word longer than a line is broken."""
    assert list(wrapped("ran  ", "one two three", 12)) == ["ran  one two", "     three"]
    assert list(wrapped("ran  ", "abcdefghij k", 9)) == ["ran  abcd", "    efghi", "    j k"]
    assert list(wrapped("ran  ", "one two three", None)) == ["ran  one two three"]


def test_left_out() -> None:
    """Columns are taken out; colours stay."""
    assert left_out(f"12:00:00.5 {RED}exec{RESET} x", 8, 10) == f"12:00:00 {RED}exec{RESET} x"


def test_narrowed() -> None:
    """What is to be given up first goes first, and no more than is needed."""
    widths = {"a": 5, "b": 10, "c": 5}
    steps = [("b", 6), ("a", 0), ("b", 0)]
    assert narrowed(widths, steps, 24, 2) == widths
    assert narrowed(widths, steps, 23, 2) == {"a": 5, "b": 6, "c": 5}
    assert narrowed(widths, steps, 19, 2) == {"b": 6, "c": 5}
    assert narrowed(widths, steps, 12, 2) == {"c": 5}
