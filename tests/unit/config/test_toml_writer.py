"""agentd/config/toml_writer.py: values as TOML."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from agentd.config.toml_writer import inline, key_lines, shown

texts = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")))
values = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), texts, st.lists(texts).map(tuple))


@given(values)
def test_what_is_written_is_read(value: object) -> None:
    """A TOML reader gets the same value back, of one line or of several."""
    for text in (f"x = {inline(value)}", "\n".join(key_lines("x", value))):
        read = tomllib.loads(text)["x"]
        assert (tuple(read) if isinstance(read, list) else read) == value


@given(st.recursive(values | st.text() | st.floats() | st.integers(), st.lists))
def test_any_value_can_be_shown(value: object) -> None:
    """For an error message: on one line, without control characters, and not too long."""
    text = shown(value)
    assert text.isprintable()
    assert len(text) < 12_000


def test_what_is_too_large_to_be_shown() -> None:
    """Numbers that Python refuses to write, and nests that it cannot, are shown all the same."""
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    assert shown(1 << 20_000) == "a very large number"
    assert shown(nested) == "[[…]]"
    assert shown("x" * 5000).endswith("…")
