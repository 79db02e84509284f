"""agentd.past"""

from __future__ import annotations

import os

import pytest

from agentd.core.accounting import Progress
from agentd.core.unwritten import Unwritten, whole_lines
from agentd.past import Past, read_past, write_past

PROGRESS = Progress((5, 6), ((0, 1), (2, 3)), 77, 66, (), (0, 0, 1), ((0, 3, 1),))
PAST = Past(
    9, PROGRESS, ("tree", ((1, 2), b"x")),
    {"stdout": Unwritten("json", (b"{}\n", b"[]\n"), ((0, (5, 2, 10, 20)),))},
)  # fmt: skip


def test_what_is_left_is_found() -> None:
    """By the next process, as it was."""
    assert read_past(write_past(PAST), 9) == PAST


def test_it_holds_for_one_moment() -> None:
    """When the ledger has been written since, it is of before."""
    assert read_past(write_past(PAST), 10) is None


@pytest.mark.parametrize("kept_bytes", [0, 1, 20, 60, -1])
def test_it_is_whole_or_not_at_all(kept_bytes: int) -> None:
    """Who wrote it may have been ended meanwhile."""
    fd = write_past(PAST)
    os.ftruncate(fd, kept_bytes % os.fstat(fd).st_size)
    assert read_past(fd, 9) is None


def test_what_is_no_past() -> None:
    """Anything else in its place is nothing."""
    for content in (b"\xc1", b"\xa1x" * 5, b"\x00" * 100, os.urandom(100)):
        fd = os.memfd_create("test")
        os.write(fd, content)
        assert read_past(fd, 0) is None


def test_a_line_that_was_begun_is_left_as_a_whole() -> None:
    """Whatever of it has been written."""
    payload = memoryview(b"one\ntwo\nthree\n")
    assert whole_lines(payload) == b"one\ntwo\nthree\n"
    assert whole_lines(payload[2:]) == b"one\ntwo\nthree\n"
    assert whole_lines(payload[4:]) == b"two\nthree\n"
    assert whole_lines(payload[5:]) == b"two\nthree\n"
    assert whole_lines(payload[13:]) == b"three\n"
