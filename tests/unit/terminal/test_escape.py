"""agentd.terminal.escape"""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agentd.terminal.escape import printable, printable_lines, printable_path


@given(st.text())
def test_nothing_reaches_the_terminal_as_a_command(text: str) -> None:
    """Any text becomes characters that a terminal only shows; what it shows anyway stays."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


def test_escapes_can_be_read() -> None:
    """They are those of Python."""
    assert printable("a\x1b[1m\nb\u202e") == "a\\x1b[1m\\nb\\u202e"


def test_lines_and_colours_are_no_commands() -> None:
    """Line ends stay, and colours where they may be; nothing else that a terminal obeys does."""
    text = "one\n\x1b[1;31mtwo\x1b[0m\x1b[2J\x9b2J\u202e\r\x07"
    assert printable_lines(text) == "one\n\\x1b[1;31mtwo\\x1b[0m\\x1b[2J\\x9b2J\\u202e\\r\\x07"
    coloured = "one\n\x1b[1;31mtwo\x1b[0m\\x1b[2J\\x9b2J\\u202e\\r\\x07"
    assert printable_lines(text, colours=True) == coloured
    assert printable_lines("a\nb…\n") == "a\nb…\n"


def test_a_path_is_on_one_line() -> None:
    """Whatever stands in it, so that it cannot look like another message."""
    path = Path("/a\nagentd: good\x1b[2J\udcff")
    assert printable_path(path) == "/a\\nagentd: good\\x1b[2J\\udcff"
