"""agentd.core.wire.decode"""

from __future__ import annotations

import pytest

from agentd.core.wire.decode import Decoder
from agentd.core.wire.events import Exec, Exit, Fork
from agentd.core.wire.header import WireError, parse_wire
from agentd.paths import bpf_dir
from tests.records import CPUS, WIRE, execed, exited, fork, record


@pytest.mark.parametrize(
    "event",
    [
        fork(tgid=7, comm=b"c" * 16),
        exited(exit_code=0x8B),
        execed(),
        execed(b"", b""),
        execed(b"/\xff", b"\0\0"),
        execed(args_total_bytes=10_000, flags=1),
    ],
)
def test_a_record_is_its_event(event: Fork | Exec | Exit) -> None:
    """What the kernel wrote comes out field by field."""
    raw = record(event)
    decoder = Decoder(WIRE, CPUS)
    assert decoder.decode(b"pad." + raw + b"more", [(4, len(raw) + 4)]) == [event]
    assert decoder.errors == 0


@pytest.mark.parametrize(
    "event",
    [
        fork(kind=9),
        fork(cpu=CPUS),
        fork(record_bytes=0),
        exited(record_bytes=1),
        execed(record_bytes=40),
        execed(args_bytes=1 << 31),
        execed(filename_bytes=3),
    ],
)
def test_what_contradicts_itself_is_not_believed(event: Fork | Exec | Exit) -> None:
    """An unknown kind or CPU, or lengths that disagree, are a counted error."""
    raw = record(event)
    decoder = Decoder(WIRE, CPUS)
    assert decoder.decode(raw, [(0, len(raw))]) == []
    assert decoder.errors == 1


def test_an_error_does_not_touch_its_neighbours() -> None:
    """Records beside one that is not believed are decoded."""
    good, bad = record(fork(seq=1)), record(fork(kind=9))
    data = good + bad + good
    spans = [(i * len(good), len(good)) for i in range(3)]
    decoder = Decoder(WIRE, CPUS)
    assert len(decoder.decode(data, spans)) == 2
    assert decoder.errors == 1


def test_a_struct_that_is_not_the_event_fails_at_start() -> None:
    """A contract whose members are not the event's fields is refused."""
    text = (bpf_dir() / "agentd.h").read_text().replace("max_rss_pages", "rss_pages")
    with pytest.raises(WireError, match="agentd_exit"):
        Decoder(parse_wire(text), CPUS)
