"""agentd.sinks.render.text"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.batch import Batch
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Image
from agentd.core.wire.events import Lost
from agentd.sinks.render.text import HEADING, TextRenderer
from tests.records import execed, exited, fork

KINDS = ("fork", "exec", "exit")
IMAGE = Image(b"true", b"/bin/true", b"true\0a b\0\0", 3)
COLUMN = HEADING.index("WHAT")


def _render(entry: Entry, *, colour: bool = False) -> str:
    return TextRenderer(KINDS, colour=colour).render(Batch([entry], 0, 0)).decode()


def _what(entry: Entry) -> str:
    return _render(entry)[COLUMN:].rstrip("\n")


def test_words_that_need_it_are_quoted() -> None:
    """Arguments with spaces and empty ones are quoted."""
    assert _what(Applied(execed(), IMAGE, None, changed=False)) == "/bin/true 'a b' ''"


def test_times_are_in_the_zone_of_the_reader() -> None:
    """With an offset from UTC it is that, whatever the zone of this process."""
    entry = Applied(execed(boottime_ns=1_000), IMAGE, None, changed=False)
    batch = Batch([entry], 0, 86_400_000_000_000)
    for offset, when in ((0, "00:00:00"), (5400, "01:30:00"), (-3600, "23:00:00")):
        line = TextRenderer(KINDS, offset, colour=False).render(batch).decode()
        assert line.startswith(f"{when}.000001 ")


def test_cut_arguments_show() -> None:
    """Where arguments were cut there is an ellipsis."""
    cut = execed(args_total_bytes=100)
    assert _what(Applied(cut, IMAGE, None, changed=False)).endswith(" …")


def test_endings() -> None:
    """An exit says how it ended and after how long."""
    times = {"boottime_ns": 2_500_000_000, "start_boottime_ns": 0}
    ok = exited(exit_code=0, **times)
    failed = exited(exit_code=2 << 8, **times)
    killed = exited(exit_code=11 | 0x80, **times)
    assert [_what(Applied(e, IMAGE, None, changed=False)) for e in (ok, failed, killed)] == [
        "true ok after 2.500 s",
        "true status 2 after 2.500 s",
        "true signal 11, core dumped after 2.500 s",
    ]


def test_losses_are_told() -> None:
    """A loss is a line too."""
    assert _what(Lost(5, 1, 0, 3, "reserve", 0, 2)) == "3 fork events missed on cpu 0 (reserve)"


def test_colour_only_when_asked() -> None:
    """Escapes come from us alone, and only for a terminal."""
    entry = Applied(fork(), IMAGE, None, changed=False)
    assert "\x1b[" not in _render(entry)
    assert "\x1b[34m" in _render(entry, colour=True)


@given(st.binary(max_size=40))
def test_nothing_reaches_the_terminal_as_a_command(value: bytes) -> None:
    """Any bytes become characters that a terminal only shows."""
    image = Image(value, value, value + b"\0" + value, 1)
    line = _render(Applied(execed(), image, None, changed=False))
    assert line.endswith("\n")
    assert line[:-1].isprintable()
