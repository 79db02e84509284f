"""agentd.terminal.encoding"""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.terminal import encoding

ENCODINGS = (
    "ascii",
    "iso-8859-1",
    "iso-8859-15",
    "euc-jp",
    "shift-jis",
    "koi8-r",
    "cp437",
    "utf-8",
)


def _written(text: str, name: str) -> bytes:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=name, newline="\n")
    encoding.never_fail(stream)
    stream.write(text)
    stream.flush()
    return raw.getvalue()


@given(st.text(st.characters()), st.sampled_from(ENCODINGS))
def test_any_text_can_be_written(text: str, name: str) -> None:
    """Whatever a process calls itself, and whatever the terminal's encoding is."""
    assert _written(text, name).decode(name) is not None


@pytest.mark.parametrize(
    ("text", "name", "written"),
    [
        ("├─ a\n└┄ b… ●", "ascii", b"|- a\n`: b~ *"),
        ("naïve", "ascii", b"na\\xefve"),
        ("naïve", "iso-8859-1", b"na\xefve"),
        ("日本", "euc-jp", "日本".encode("euc-jp")),
        ("\udcff", "utf-8", b"\\udcff"),
        ("└─ ü", "utf-8", "└─ ü".encode()),
    ],
)
def test_what_is_written(text: str, name: str, written: bytes) -> None:
    """Drawings keep their columns; other characters are escapes, only where they must be."""
    assert _written(text, name) == written


def test_a_stream_that_is_none() -> None:
    """A test's or a library's stand-in for a stream is left alone."""
    encoding.never_fail(io.StringIO())
    encoding.never_fail(None)


@pytest.mark.parametrize(("name", "is_it"), [("utf-8", True), ("UTF8", True), ("ascii", False)])
def test_utf8(name: str, *, is_it: bool) -> None:
    """Its names are many."""
    assert encoding.is_utf8(io.TextIOWrapper(io.BytesIO(), encoding=name)) == is_it
