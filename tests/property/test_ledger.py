"""agentd.daemon.restart.checkpoint: whatever becomes of its memory,
it says what was written or that it is damaged."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core.loss.tracker import Progress
from agentd.daemon.restart.checkpoint import Ledger, LedgerDamagedError
from agentd.daemon.restart.recovery import open_ledger
from tests.records import CAUSES, CPUS

SIZE = CPUS, len(CAUSES)
numbers = st.integers(0, 2**63)
rows = st.tuples(*[numbers] * CPUS)
untold_rows = st.tuples(*[numbers] * (CPUS + 1))
progresses = st.builds(
    Progress,
    next_seq=rows,
    settled=st.tuples(*[rows] * len(CAUSES)),
    at_ns=numbers,
    watermark_ns=numbers,
    untold=st.tuples(untold_rows, untold_rows),
    skipped=st.tuples(numbers, numbers, numbers),
)


def _again(fd: int) -> tuple[Progress | None, bool]:
    """What a successor reads."""
    ledger, progress, damaged = open_ledger(os.dup(fd), *SIZE)
    ledger.close()
    return progress, damaged


@given(st.lists(progresses, max_size=3))
def test_the_last_that_was_written_is_read(written: list[Progress]) -> None:
    """Of several the last; of none, nothing."""
    ledger = Ledger.fresh(*SIZE)
    for progress in written:
        ledger.write(progress)
    assert _again(ledger.fd) == (written[-1] if written else None, False)
    ledger.close()


@given(st.lists(progresses, min_size=1, max_size=2), st.data())
def test_changed_bytes_are_seen(written: list[Progress], data: st.DataObject) -> None:
    """Bytes that are changed anywhere do no harm, or are seen to."""
    ledger = Ledger.fresh(*SIZE)
    for progress in written:
        ledger.write(progress)
    size_bytes = os.fstat(ledger.fd).st_size
    place = data.draw(st.integers(0, size_bytes - 1))
    os.pwrite(ledger.fd, data.draw(st.binary(min_size=1, max_size=64)), place)
    found, damaged = _again(ledger.fd)
    assert damaged or found == written[-1]
    ledger.close()


@given(st.one_of(st.binary(max_size=2000), st.integers(0, 2000).map(bytes)))
def test_any_memory_is_a_ledger_or_damaged(memory: bytes) -> None:
    """Foreign bytes, zeros and short files are damaged; the one that replaces it can be written."""
    fd = os.memfd_create("foreign")
    os.write(fd, memory)
    ledger, progress, damaged = open_ledger(fd, *SIZE)
    assert (progress, damaged) == (None, True)
    new = Progress(
        (1,) * CPUS, ((2,) * CPUS,) * len(CAUSES), 3, 4, ((5,) * (CPUS + 1),) * 2, (6,) * 3
    )
    ledger.write(new)
    assert _again(ledger.fd) == (new, False)
    ledger.close()


def test_what_is_no_memory() -> None:
    """A pipe is no ledger."""
    reading, writing = os.pipe()
    with pytest.raises(LedgerDamagedError, match="cannot be mapped"):
        Ledger(reading, *SIZE)
    for fd in (reading, writing):
        os.close(fd)
