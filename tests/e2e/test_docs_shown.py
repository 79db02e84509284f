"""Commands and outputs of the pages, done again on this host (tests/shown)."""

from __future__ import annotations

from functools import cache

import pytest

from tests.kernel.available import need_tracing
from tests.requirements import need_program
from tests.shown import picture
from tests.shown.pages import SHOWN, Block, all_blocks
from tests.shown.play import Played, played
from tests.shown.shape import shape
from tests.shown.typed import commands

BLOCKS = [block for block in all_blocks() if block.kind == SHOWN]


@cache
def _played() -> Played:
    need_tracing()
    for program in ("unshare", "ip", "curl", "jq", "journalctl", "sysctl"):
        need_program(program)
    return played()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block.name))
def test_output(block: Block) -> None:
    """But for times, numbers and ids it is what comes out today; if not: ``make docs``."""
    assert shape(block.text) == shape(_played().shown[block.name])


def test_no_output_is_left_out() -> None:
    """Each output that is made stands in a page."""
    assert {block.name for block in BLOCKS} == set(_played().shown)


def test_the_picture_is_of_this_page() -> None:
    """docs/page.png was made of the page as it is; if not: ``make docs``."""
    assert picture.fingerprint_of(picture.PICTURE.read_bytes()) == picture.fingerprint()


@pytest.mark.parametrize("command", commands())
def test_command(command: str) -> None:
    """What a page has somebody type does its work, with nothing to complain about."""
    (ran,) = [ran for ran in _played().ran if ran.command == command]
    assert ran.status == 0, ran.errors
