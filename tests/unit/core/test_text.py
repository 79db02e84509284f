"""agentd.core.text"""

from __future__ import annotations

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import agentd
from agentd.core.text import as_escaped, as_text, clean, cleaned

PACKAGE = Path(agentd.__file__).parent
any_text = st.text(st.characters(exclude_categories=()))


@given(st.binary())
def test_bytes_become_text(value: bytes) -> None:
    """Any bytes become text that is UTF-8; what was UTF-8 is the same."""
    for text in (as_text(value), as_escaped(value)):
        encoded = text.encode()
        if "\ufffd" not in as_text(value):
            assert encoded == value
    assert as_escaped(b"a\xffb") == r"a\xffb"


@given(any_text)
def test_no_lone_surrogate_is_left(text: str) -> None:
    """Text from elsewhere can be encoded when it is clean; other characters stay."""
    plain = clean(text)
    plain.encode()
    assert len(plain) == len(text)
    assert all(b in (a, "\ufffd") for a, b in zip(text, plain, strict=True))


def test_nested_values_are_cleaned() -> None:
    """Texts in lists, tuples and dicts are, keys as well; the rest stays."""
    value = {"a\udcff": ["\ud800", ("b", 1, None, b"\xff")]}
    assert cleaned(value) == {"a\ufffd": ["\ufffd", ("b", 1, None, b"\xff")]}


def _own_ways(path: Path) -> list[str]:
    """Where a module turns bytes into text in a way of its own."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr == "fsdecode":
            found.append(f"{path}:{node.lineno}: fsdecode")
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        lenient = any(word.arg == "errors" for word in node.keywords) or (
            len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
        )
        if node.func.attr == "decode" and lenient:
            found.append(f"{path}:{node.lineno}: decode with errors of its own")
    return found


def test_there_is_one_gate() -> None:
    """No other module decides what becomes of bytes that are not UTF-8."""
    modules = set(PACKAGE.rglob("*.py")) - {PACKAGE / "core/text.py"}
    assert [where for path in sorted(modules) for where in _own_ways(path)] == []
