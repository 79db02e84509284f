"""packaging/pages.py: the tables of docs/metrics.md and docs/events.md are made of the code."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES: dict[str, Any] = runpy.run_path(str(ROOT / "packaging/pages.py"))


@pytest.mark.parametrize("name", ["metrics.md", "events.md"])
def test_the_tables_are_fresh(name: str) -> None:
    """If not: ``make docs``."""
    text = (ROOT / "docs" / name).read_text()
    assert PAGES["made"](text) == text


def test_each_table_has_its_place() -> None:
    """In one of the two pages, once."""
    text = "".join((ROOT / "docs" / name).read_text() for name in ("metrics.md", "events.md"))
    for name in PAGES["tables"]():
        assert text.count(f"<!-- table: {name} -->\n|") == 1, name


def test_each_family_stands_in_one_table() -> None:
    """None twice."""
    names = [family.sample for families in PAGES["METRICS"].values() for family in families]
    assert sorted(names) == sorted(set(names))


def _fields(path: str, schema: Any, told: bool) -> Iterator[str]:
    """Fields that nothing describes, themselves or what they are in."""
    for name, field in schema.get("properties", {}).items():
        described = told or bool(field.get("description"))
        if not described and "properties" not in field:
            yield f"{path}{name}"
        yield from _fields(f"{path}{name}.", field, described)


def test_each_field_is_described() -> None:
    """By itself, or with the object that it is a part of; and each says where it comes from."""
    assert list(_fields("", PAGES["SCHEMA"], told=False)) == []
    for path, field in PAGES["_described"]("", PAGES["SCHEMA"]):
        assert field["x-type"], path
        assert field["x-in"], path
