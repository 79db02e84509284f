"""agentd/config/validate.py: what values must be."""

from __future__ import annotations

import mmap
import socket

import pytest

from agentd.config import validate


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:9", ("::1", 9)), ("host:0", ("host", 0))],
)
def test_addresses(text: str, parsed: tuple[str, int]) -> None:
    """Address and port are taken apart, IPv6 too."""
    assert validate.split_address(text) == parsed
    assert validate.address_or_empty(text) == ""


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
        "[127.0.0.1]:99",
        "[::1:99",
        "::1:99",
        "a b:99",
        "a/b:99",
        "[]:99",
    ],
)
def test_bad_addresses(text: str) -> None:
    """What is no address and port is told, with one that is."""
    assert "for instance 127.0.0.1:9847" in validate.address_or_empty(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[::1%lo]:99", "only link-local"),
        ("[2001:db8::1%1]:99", "only link-local"),
        ("[fe80::1]:99", "needs its device"),
        ("[ff02::1%lo]:99", "multicast"),
        ("[::ffff:127.0.0.1]:99", "must be written as 127.0.0.1"),
        ("[:::1]:99", "no IPv6 address"),
        ("999.1.1.1:99", "no IPv4 address"),
        ("1.2.3.4.5:99", "no IPv4 address"),
    ],
)
def test_addresses_at_which_nothing_can_listen(text: str, words: str) -> None:
    """They are refused, and agentd could not have listened there either."""
    assert words in validate.address_or_empty(text)
    address = validate.split_address(text)
    assert address is not None
    with pytest.raises(OSError, match=r"^"):
        _listen(*address)


@pytest.mark.parametrize("host", ["224.0.0.1", "239.255.255.255", "[ff02::1%lo]"])
def test_nobody_can_connect_to_a_group(host: str) -> None:
    """The kernel would let agentd listen at an IPv4 group, and bring no connection."""
    assert "multicast" in validate.address_or_empty(f"{host}:99")


def _listen(host: str, port: int) -> None:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    socket.create_server(found[0][4], family=found[0][0]).close()


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:0", "[::]:0", "0.0.0.0:0", "127.1:0"])
def test_addresses_at_which_one_can_listen(text: str) -> None:
    """They are taken, and work."""
    assert validate.address_or_empty(text) == ""
    address = validate.split_address(text)
    assert address is not None
    _listen(*address)


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ("", True), ("/run/a.sock", True), ("/a/../b", True), ("run/a", False), ("/", False),
        ("/run/", False), ("/run/.", False), ("/run/..", False), ("/a\0b", False),
        ("/" + "a" * 107, False), ("/" + "ä" * 60, False),
    ],
)  # fmt: skip
def test_paths_of_sockets(value: str, is_good: bool) -> None:
    """What bind(2) takes; neither a folder nor what is cut at a NUL."""
    assert (validate.socket_path_or_empty(value) == "") == is_good


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ("", True), ("/", True), ("/user.slice", True), ("user.slice/a", True), ("/a/", True),
        ("/..", False), ("/../..", False), ("/a/../b", False), ("/./a", False), ("/a//b", False),
        ("/a\0b", False), ("/" + "a/" * 3000, False), ("/a..b", True),
    ],
)  # fmt: skip
def test_paths_of_cgroups(value: str, is_good: bool) -> None:
    """Below the mount, and written as the kernel writes them, with which they are compared."""
    assert (validate.cgroup_or_empty(value) == "") == is_good


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
    assert validate.buffer_bytes(value).endswith(f"the nearest is {nearest}")
    assert validate.buffer_bytes(nearest) == ""
