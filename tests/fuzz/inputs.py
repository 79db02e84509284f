"""Inputs that Hypothesis makes of a corpus, how long to try them, and where a bad one is found."""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

USUAL_SECONDS = 60.0
SECONDS = float(os.environ.get("AGENTD_FUZZ_SECONDS", USUAL_SECONDS))
"""For everything together; ``make fuzz`` sets it."""
DOORS = ("control", "plain", "password", "tls")
"""Of a running daemon; each is tried in two ways (``test_doors.py``)."""
HANGS_SECONDS = 120.0
"""One input takes milliseconds. After this time the run ends, with a traceback."""
FOUND = Path("build/fuzz")


def seeds() -> Iterator[int]:
    """One after the other; a longer run tries what no other did."""
    return itertools.count(time.time_ns() if SECONDS > USUAL_SECONDS else 0)


def share_seconds() -> float:
    """How long one target, or one way to try one door, is tried.

    A door takes as long again: a daemon starts for it, and questions about its tree have to wait
    until copies of it have rested.
    """
    return SECONDS / (len(TARGETS) + 4 * len(DOORS))


@contextlib.contextmanager
def watched(name: str, data: bytes) -> Iterator[bytes]:
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


def inputs_of(target: Target, corpus: list[bytes]) -> st.SearchStrategy[bytes]:
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
