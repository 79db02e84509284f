"""agentd/rules.py: what values must be."""

from __future__ import annotations

import mmap

import pytest

from agentd import rules


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:9", ("::1", 9)), ("host:0", ("host", 0))],
)
def test_addresses(text: str, parsed: tuple[str, int]) -> None:
    """Address and port are taken apart, IPv6 too."""
    assert rules.split_address(text) == parsed
    assert rules.address_or_empty(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "9847",
        "host:",
        ":80",
        "h:99999",
        "h:-1",
        "h:x",
        "h:²",
        "h",
        f"h:{'0' * 5000}",
        "a\0b:1",
        f"{'a' * 70}:1",
        ".:1",
    ],
)
def test_bad_addresses(text: str) -> None:
    """What is no address and port is told, with one that is."""
    assert "for instance 127.0.0.1:9847" in rules.address_or_empty(text)


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (1, mmap.PAGESIZE),
        (mmap.PAGESIZE // 2, mmap.PAGESIZE),
        (mmap.PAGESIZE + 1, mmap.PAGESIZE),
        (mmap.PAGESIZE * 7, mmap.PAGESIZE * 8),
        ((1 << 30) - 1, 1 << 30),
    ],
)
def test_sizes_that_the_kernel_would_refuse(value: int, nearest: int) -> None:
    """The message names the nearest size that would do, and that one does."""
    assert rules.buffer_bytes(value).endswith(f"the nearest is {nearest}")
    assert rules.buffer_bytes(nearest) == ""
