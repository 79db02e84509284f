"""Every input that somebody else chooses is taken or refused; none ends or hangs what reads it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.target import CORPUS, Target, corpus_of
from tests.fuzz.targets import TARGETS

SECONDS = float(os.environ.get("AGENTD_FUZZ_SECONDS", "60"))
"""For all targets together; ``make fuzz`` sets it."""
SECONDS_EACH = SECONDS / len(TARGETS)
EXAMPLES_AT_ONCE = 200
HANGS_SECONDS = 120.0
"""One input takes milliseconds. After this time the run ends, with a traceback."""
FOUND = Path("build/fuzz")


def test_every_corpus_has_its_target() -> None:
    """A folder without a target would never be tried, nor a target without a folder be seeded."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name in TARGETS for path in corpus_of(name)],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_corpus(name: str, path: Path) -> None:
    """What once did harm does none."""
    with _watched(name, path.read_bytes()) as data:
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_fuzz(name: str) -> None:
    """Nor does anything that can be made of it."""
    until_seconds = time.monotonic() + SECONDS_EACH
    first = time.time_ns() if SECONDS > 60 else 0  # a longer run shall try what no other did
    inputs = _inputs(TARGETS[name], [path.read_bytes() for path in corpus_of(name)])
    for number in range(first, first + (1 << 62)):
        _try_some(name, inputs, number)
        if time.monotonic() > until_seconds:
            break


def _try_some(name: str, inputs: st.SearchStrategy[bytes], number: int) -> None:
    @seed(number)
    @settings(
        max_examples=EXAMPLES_AT_ONCE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def run(data: bytes) -> None:
        with _watched(name, data):
            TARGETS[name].run(data)

    run()


@contextlib.contextmanager
def _watched(name: str, data: bytes) -> Iterator[bytes]:
    """Keep the input where it can be found if it hangs, crashes or fails."""
    FOUND.mkdir(parents=True, exist_ok=True)
    (FOUND / f"{name}.running").write_bytes(data)
    faulthandler.dump_traceback_later(HANGS_SECONDS, exit=True)
    try:
        yield data
    except BaseException:
        (FOUND / f"{name}.failed").write_bytes(data)
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()


def _inputs(target: Target, corpus: list[bytes]) -> st.SearchStrategy[bytes]:
    """Words and bytes in any order, and what edits make of the corpus."""
    word = st.sampled_from(target.words) if target.words else st.binary(min_size=1, max_size=4)
    piece = word | st.binary(max_size=6)
    edits = st.lists(st.tuples(st.integers(0, 1 << 16), st.sampled_from(_EDITS), piece), max_size=6)
    pieces = st.lists(piece, max_size=30).map(b"".join)
    return pieces | st.builds(_edited, st.sampled_from(corpus), edits)


_EDITS = ("insert", "replace", "delete", "repeat", "cut")


def _edited(data: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    for where, edit, piece in edits:
        at = where % (len(data) + 1)
        if edit == "insert":
            data = data[:at] + piece + data[at:]
        elif edit == "replace":
            data = data[:at] + piece + data[at + len(piece) :]
        elif edit == "delete":
            data = data[:at] + data[at + 1 + where % 7 :]
        elif edit == "repeat":
            data = data[:at] + piece * (1 + where % 3000) + data[at:]
        else:
            data = data[:at]
    return data
