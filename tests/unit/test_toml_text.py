"""agentd/toml_text.py: values as TOML."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from agentd.toml_text import inline, key_lines

texts = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")))
values = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), texts, st.lists(texts).map(tuple))


@given(values)
def test_what_is_written_is_read(value: object) -> None:
    """A TOML reader gets the same value back, of one line or of several."""
    for text in (f"x = {inline(value)}", "\n".join(key_lines("x", value))):
        read = tomllib.loads(text)["x"]
        assert (tuple(read) if isinstance(read, list) else read) == value
