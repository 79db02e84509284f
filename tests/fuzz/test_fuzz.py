"""Every input that somebody else chooses is taken or refused; none ends or hangs what reads it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import inputs_of, seeds, share_seconds, watched
from tests.fuzz.target import CORPUS, corpus_of
from tests.fuzz.targets import TARGETS

EXAMPLES_AT_ONCE = 50


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
    with watched(name, path.read_bytes()) as data:
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_fuzz(name: str) -> None:
    """Nor does anything that can be made of it."""
    until_seconds = time.monotonic() + share_seconds()
    inputs = inputs_of(TARGETS[name], [path.read_bytes() for path in corpus_of(name)])
    for number in seeds():
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
        with watched(name, data):
            TARGETS[name].run(data)

    run()
