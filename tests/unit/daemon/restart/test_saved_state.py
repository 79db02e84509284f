"""agentd.daemon.restart.saved_state"""

from __future__ import annotations

import os

import pytest

from agentd.core.loss.tracker import Progress
from agentd.core.unwritten import Unwritten, whole_lines
from agentd.daemon.restart.saved_state import Moment, Past, PastError, read_past, write_past
from agentd.runtime import checksummed

PROGRESS = Progress((5, 6), ((0, 1), (2, 3)), 77, 66, (), (0, 0, 1), ((0, 3, 1),))
MOMENT = Moment(1024, 9)
PAST = Past(
    MOMENT, PROGRESS, ("tree", ((1, 2), b"x")),
    {"stdout": Unwritten("json", (b"{}\n", b"[]\n"), ((0, (5, 2, 10, 20)),))},
)  # fmt: skip


def test_what_is_left_is_found() -> None:
    """By the next process, as it was."""
    assert read_past(write_past(PAST), MOMENT) == PAST


@pytest.mark.parametrize("other", [Moment(1024, 10), Moment(1025, 9), None])
def test_it_holds_for_one_moment(other: Moment | None) -> None:
    """When the ledger was written since it is of before; other programs have another stream."""
    with pytest.raises(PastError, match=r"programs|moment"):
        read_past(write_past(PAST), other)


@pytest.mark.parametrize("kept_bytes", [0, 1, 20, 60, -1])
def test_it_is_whole_or_not_at_all(kept_bytes: int) -> None:
    """Who wrote it may have been ended meanwhile."""
    fd = write_past(PAST)
    os.ftruncate(fd, kept_bytes % os.fstat(fd).st_size)
    with pytest.raises(PastError, match="checksum"):
        read_past(fd, MOMENT)


def test_each_changed_byte_is_seen() -> None:
    """A number of the tree, too, which would be another number: never a false tree."""
    size = os.fstat(write_past(PAST)).st_size
    for place in range(size):
        fd = write_past(PAST)
        (before,) = os.pread(fd, 1, place)
        os.pwrite(fd, bytes([before ^ 0x10]), place)
        with pytest.raises(PastError, match="checksum"):
            read_past(fd, MOMENT)


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\xa1x" * 5, b"\x00" * 100])
def test_what_another_version_wrote(content: bytes) -> None:
    """Whole, and nothing that this one knows."""
    with pytest.raises(PastError, match="version"):
        read_past(checksummed.write("test", [content]), MOMENT)


def test_a_line_that_was_begun_is_left_as_a_whole() -> None:
    """Whatever of it has been written."""
    payload = memoryview(b"one\ntwo\nthree\n")
    assert whole_lines(payload) == b"one\ntwo\nthree\n"
    assert whole_lines(payload[2:]) == b"one\ntwo\nthree\n"
    assert whole_lines(payload[4:]) == b"two\nthree\n"
    assert whole_lines(payload[5:]) == b"two\nthree\n"
    assert whole_lines(payload[13:]) == b"three\n"
