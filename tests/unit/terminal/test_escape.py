"""agentd.terminal.escape"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentd.terminal.escape import printable


@given(st.text())
def test_nothing_reaches_the_terminal_as_a_command(text: str) -> None:
    """Any text becomes characters that a terminal only shows; what it shows anyway stays."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_escapes_can_be_read() -> None:
    """They are those of Python."""
    assert printable("a\x1b[1m\nb\u202e") == "a\\x1b[1m\\nb\\u202e"
