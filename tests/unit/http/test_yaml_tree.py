"""agentd.http.yaml_tree"""

from __future__ import annotations

from typing import Any

import pytest

from agentd.http.yaml_tree import NotYamlError, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: {b: [c, 'd'], e: null, f: true, g: Off}", {"a": {
            "b": ["c", "d"], "e": None, "f": True, "g": False}}),
        ("a: 1\nb: 2026-01-01\nc: 1.5\nd: 0x_", {
            "a": "1", "b": "2026-01-01", "c": "1.5", "d": "0x_"}),
        ("a: |\n  -----BEGIN\n  x\n", {"a": "-----BEGIN\nx\n"}),
    ],
)  # fmt: skip
def test_what_is_plain_is_read(text: str, value: Any) -> None:
    """Mappings, lists and texts; numbers and dates are texts, so none can be impossible."""
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x [1]\nb: *x", "aliases are not taken"),
        ("&x [*x]", "aliases are not taken"),
        ("a: 1\na: 2", r"a is there twice \(at line 2, column 1\)"),
        ("{[a]: b}", "a key must be a text"),
        ("true: b", "a key must be a text"),
        ("!!python/object/apply:os.getpid []", "python/object/apply:os.getpid is not taken"),
        ("!x a", "!x is not taken"),
        ("!!binary YQ==", "binary is not taken"),
        ("[" * 20 + "]" * 20, "nested more than 16 deep"),
        ("[" * 3000, "recursion"),
        (r'"\U99999999"', "."),
        ("a: [", "expected"),
        ("--- a\n--- b", "single document"),
    ],
)
def test_what_is_not_plain_is_refused(text: str, reason: str) -> None:
    """The error says what it is, and where, on one line."""
    with pytest.raises(NotYamlError, match=reason) as caught:
        parse_yaml(text)
    assert str(caught.value).isprintable()
