"""agentd.terminal.numerals"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.terminal.numerals import decimal, whole

ODD = [
    "", " ", "1_0", "\u0661", "\u00b2", "+1", "-1", " 1", "1 ",
    "1\n", "1e3", "inf", "nan", "0x1", "1.", "1,5", "9" * 5000, "1\0",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_what_python_or_nobody_takes_for_a_number(text: str) -> None:
    """It is none."""
    assert whole(text) is None
    assert decimal(text) is None


@given(st.integers(0, 10**20 - 1))
def test_whole_numbers(number: int) -> None:
    """They are read as they are written."""
    assert whole(str(number)) == number
    assert decimal(str(number)) == float(number)


@pytest.mark.parametrize(("text", "number"), [("0.5", 0.5), (".5", 0.5), ("10.25", 10.25)])
def test_fractions(text: str, number: float) -> None:
    """Likewise; they are no whole numbers."""
    assert decimal(text) == number
    assert whole(text) is None
