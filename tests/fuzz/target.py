"""What a fuzzer needs to know of the code that it tries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True, slots=True)
class Target:
    """Code that takes bytes of strangers. ``run`` returns for any input, good or bad."""

    run: Callable[[bytes], None]
    words: tuple[bytes, ...] = ()
    """What its inputs are made of."""


def corpus_of(name: str) -> list[Path]:
    """The files that a target starts with, in order."""
    return sorted(path for path in (CORPUS / name).iterdir() if path.is_file())
