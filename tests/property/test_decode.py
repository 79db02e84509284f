"""agentd.core.wire.decode, for any bytes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.wire.decode import Decoder
from agentd.core.wire.events import Exec, Exit, Fork
from tests.records import CPUS, EXEC, EXIT, FORK, WIRE, execed, exited, fork, record

spans = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=6)
names = st.binary(min_size=1, max_size=10).map(lambda name: re.sub(rb"[\0/]", b"x", name))
paths = st.lists(names, min_size=1, max_size=4).map(lambda path: b"/" + b"/".join(path))
valid = st.one_of(
    st.builds(fork, tgid=st.integers(0, 2**32 - 1), seq=st.integers(0, 2**64 - 1)),
    st.builds(exited, exit_code=st.integers(0, 2**64 - 1)),
    st.builds(
        execed,
        st.binary(max_size=40).map(lambda name: name.replace(b"\0", b"")),
        st.binary(max_size=80),
        path=st.just(b"") | paths,
        cwd=st.just(b"/") | paths,
    ),
)


@given(st.binary(max_size=400), spans)
def test_any_bytes_are_events_or_counted_errors(data: bytes, where: list[tuple[int, int]]) -> None:
    """Each span is an event or an error, and nothing else happens."""
    decoder = Decoder(WIRE, CPUS)
    events = decoder.decode(data, where)
    assert len(events) + decoder.errors == len(where)


@given(st.binary(min_size=80, max_size=300), st.sampled_from([FORK, EXEC, EXIT, 3]))
def test_bytes_that_look_like_a_record(noise: bytes, kind: int) -> None:
    """Noise behind a plausible head is an event only if its lengths agree."""
    head = fork(kind=kind, record_bytes=len(noise))
    data = record(head)[:28] + noise[28:]
    decoder = Decoder(WIRE, CPUS)
    for event in decoder.decode(data, [(0, len(data))]):
        assert event.record_bytes == len(data) or not isinstance(event, Exec)
        assert event.kind == kind


@given(st.lists(names, max_size=4))
def test_a_path_that_is_cut_has_no_slash_before_it(path: list[bytes]) -> None:
    """Where the names next to the root are missing, nothing pretends to be the root."""
    flags = WIRE.constant("AGENTD_PATH_TRUNCATED") | WIRE.constant("AGENTD_CWD_TRUNCATED")
    joined = b"/".join(path)
    event = execed(path=joined, cwd=joined, flags=flags)
    (decoded,) = Decoder(WIRE, CPUS).decode(record(event), [(0, event.record_bytes)])
    assert isinstance(decoded, Exec)
    assert (decoded.path, decoded.cwd) == (joined, joined)


@given(st.lists(valid, max_size=6))
def test_records_round_trip(events: list[Fork | Exec | Exit]) -> None:
    """Any events, written as records one behind the other, come back equal."""
    data, where = b"", []
    for event in events:
        raw = record(event)
        where.append((len(data), len(raw)))
        data += raw
    assert Decoder(WIRE, CPUS).decode(data, where) == events


@given(valid, st.data())
def test_a_cut_record_is_an_error(event: Fork | Exec | Exit, data: st.DataObject) -> None:
    """A record that is shorter than it says is not believed."""
    raw = record(event)
    length = data.draw(st.integers(0, len(raw) - 1))
    decoder = Decoder(WIRE, CPUS)
    assert decoder.decode(raw[:length], [(0, length)]) == []
    assert decoder.decode(raw, [(0, length)]) == []
    assert decoder.errors == 2
