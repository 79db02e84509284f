"""agentd.helpers.frames"""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.helpers import frames


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_value_error(packet: bytes) -> None:
    """Whatever a helper sends, nothing else comes of it."""
    for read in (frames.unpack, frames.read_answer, frames.read_request):
        with contextlib.suppress(ValueError):
            read(packet)


@pytest.mark.parametrize(
    "packet",
    [b"\x91" * 5000, b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc1", b"\xd4\x00",
     b"\x81\x81\x01\x01\x01", b"\xa1\xff", b"", b"\0" * (frames.FRAME_BYTES_MAX + 1)],
    ids=["deep", "list", "text", "never used", "half", "odd key", "no UTF-8", "none", "big"],
)  # fmt: skip
def test_what_is_no_answer(packet: bytes) -> None:
    """Nesting, lengths that are not there, and the like are a ValueError."""
    with pytest.raises(ValueError, match=r"not a(n answer| packet)|too long"):
        frames.read_answer(packet)


def test_text_is_text() -> None:
    """No lone surrogate is sent, and none is believed; a reason that has one is cleaned."""
    with pytest.raises(ValueError, match="surrogates"):
        frames.pack(["/\udcff"])
    with pytest.raises(ValueError, match="not a packet"):
        frames.unpack(msgpack.packb("/\udcff", unicode_errors="surrogatepass"))
    assert frames.read_answer(frames.failure("/\udcff")) == ("failed", "/\ufffd")


def test_a_packet_has_a_bound() -> None:
    """What is longer is not sent, and a reason is cut."""
    with pytest.raises(ValueError, match="a packet of"):
        frames.pack(b"x" * frames.FRAME_BYTES_MAX)
    kind, text = frames.read_answer(frames.failure("x" * 100_000))
    assert (kind, len(text)) == ("failed", 300)


def test_a_request_says_how_long_it_may_take() -> None:
    """In seconds, more than none, and not for ever."""
    assert frames.read_request(frames.request("canary", 1.0, ["x"])) == ("canary", 1.0, ("x",))
    for wrong in (
        [],
        ["a", 1.0],
        ["a", 0.0, 0],
        ["a", float("nan"), 0],
        [b"a", 1.0, 0],
        ["a", 1, 0],
    ):
        with pytest.raises(ValueError, match="not a request"):
            frames.read_request(msgpack.packb(wrong))
