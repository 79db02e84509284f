"""Every sink, with every kind of entry and any bytes: what it writes, strict readers read."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Image
from agentd.core.wire.events import Event, kind_names
from agentd.front.subscribers import Follower
from agentd.sinks.render.ecs import EcsRenderer
from agentd.sinks.render.ecs_aggregate import MergingRenderer
from agentd.sinks.render.journal_fields import FIELDS, JournalEncoder
from agentd.sinks.render.renderer import Renderer
from agentd.sinks.render.text import TextRenderer
from tests.property.entries import ENTRIES, EVENTS, entries, names
from tests.records import WIRE, fork
from tests.requirements import do_without
from tests.unit.sinks.render.test_journal_fields import parsed

BOOT_ID = "0123456789abcdef" + "f" * 16
OFFSET_NS = 1_700_000_000_000_000_000
KIND_NAMES = kind_names(WIRE)

batches = st.builds(Batch, st.lists(entries, max_size=4), st.integers(0, 2**50), st.just(OFFSET_NS))


def _json(batch: Batch, called: Names, kind: type[EcsRenderer]) -> bytes:
    return kind(WIRE, BOOT_ID, 4096, called).render(batch)


def _program() -> Any:
    if sys.version_info[:2] != (3, 11):  # pyvrl has wheels for 3.11 alone
        do_without("needs pyvrl")
    return importlib.import_module("pyvrl").Transform(". = parse_json!(.message)")


def test_no_kind_is_forgotten() -> None:
    """The strategies describe every kind of entry and of event that the core makes."""
    assert set(ENTRIES) == set(get_args(Entry))
    assert set(EVENTS) == set(get_args(Event))


@given(batches, names)
def test_json_is_read_by_strict_parsers(batch: Batch, called: Names) -> None:
    """Plain and aggregated lines are ASCII, one JSON object each, without lone surrogates."""
    plain = _json(batch, called, EcsRenderer).splitlines()
    merged = _json(batch, called, MergingRenderer).splitlines()
    assert len(plain) == len(batch.entries) >= len(merged)
    for line in (*plain, *merged):
        assert line.isascii()
        assert orjson.loads(line) == json.loads(line)


@settings(max_examples=50)
@given(batches, names)
def test_json_is_read_by_vectors_parser(batch: Batch, called: Names) -> None:
    """Vector's own VRL parses each line."""
    program = _program()
    for line in _json(batch, called, EcsRenderer).decode().splitlines():
        assert program.remap({"message": line})["event"]["kind"] == "event"


@given(batches, st.booleans())
def test_text_is_safe_to_print(batch: Batch, colour: bool) -> None:
    """A line an entry, in UTF-8; what a terminal would obey are our own colours."""
    text = TextRenderer(KIND_NAMES, colour=colour).render(batch).decode("utf-8")
    assert text.count("\n") == len(batch.entries)
    allowed = {"\n", "\x1b"} if colour else {"\n"}
    assert all(character.isprintable() or character in allowed for character in text)


@settings(max_examples=60)
@given(batches, names)
def test_the_journal_says_what_the_json_says(batch: Batch, called: Names) -> None:
    """Each entry is a datagram of fields in UTF-8; each field is that of the line, and no other."""
    encoder = JournalEncoder(WIRE, BOOT_ID, called, KIND_NAMES)
    for _ in range(2):  # what is kept is the same
        datagrams = encoder.encode(batch)
        lines = _json(batch, called, EcsRenderer).splitlines()
        for data, line in zip(datagrams, lines, strict=True):
            fields = parsed(data)  # which decodes strictly
            assert fields.pop("MESSAGE").isprintable()
            assert fields.pop("SYSLOG_IDENTIFIER") == "agentd"
            assert fields.pop("PRIORITY") in "46"
            event = json.loads(line)
            found = {name: _at(event, path) for name, path in FIELDS.items()}
            assert fields == {name: value for name, value in found.items() if value}


def _at(event: Any, path: str) -> str:
    """The text of a member, empty where there is none."""
    for key in path.split("."):
        event = event.get(key, {})
    if isinstance(event, list):
        return " ".join(event) if path == "agentd.flags" else shlex.join(event)
    return "" if event == {} else str(event)


@given(entries, names)
def test_followers_get_every_kind(entry: Entry, called: Names) -> None:
    """A follower's line, in either format, says what the entry is."""
    renderers: tuple[Renderer, ...] = (
        EcsRenderer(WIRE, BOOT_ID, 4096, called),
        TextRenderer(KIND_NAMES, colour=False),
    )
    for renderer in renderers:
        follower = Follower(lambda facts: True, renderer)
        follower.take(entry, 0, OFFSET_NS)
        (line,) = follower._waiting
        assert line == renderer.render(Batch([entry], 0, OFFSET_NS))


@pytest.mark.parametrize("name", [b"\xff", b"\xed\xa0\x80", b"\xc3"])
def test_bytes_that_are_no_text_leave_as_replacement(name: bytes) -> None:
    """A name that is not UTF-8 is U+FFFD in its field and exact in agentd.raw."""
    applied = Applied(fork(), Image(name, b"", b"", 0), None, changed=False)
    line = orjson.loads(_json(Batch([applied], 0, OFFSET_NS), Names(str, str, str), EcsRenderer))
    assert set(line["process"]["name"]) == {"\ufffd"}
    assert "name" in line["agentd"]["raw"]
