"""agentd.http.allowed_hosts"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agentd.http import allowed_hosts
from agentd.http.allowed_hosts import is_cross_site, is_own_host, is_own_name


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:9847", True),
        ("192.0.2.7", True),
        ("[::1]:9847", True),
        ("[2001:db8::1]", True),
        ("localhost", True),
        ("LOCALHOST:9847", True),
        (socket.gethostname(), True),
        (f"{socket.gethostname()}:9847", True),
        ("evil.example", False),
        ("evil.example:9847", False),
        ("127.0.0.1.evil.example", False),
        (f"{socket.gethostname()}.evil.example", False),
        (f"{socket.gethostname()}.corp.example", True),
        ("9" * 5000, False),
        (f"localhost:{'9' * 5000}", False),
        ("", False),
    ],
)
def test_which_names_are_believed(
    host: str, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses, localhost, and what this host is called, in its own domains too."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\nsearch corp.example other.example\n")
    monkeypatch.setattr(allowed_hosts, "_RESOLV_CONF", file)
    assert is_own_name(host) is own


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "http://a:1"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "\xff"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "http://a:2"}, True),
        ({"origin": "null"}, True),
    ],
)
def test_other_sites_are_refused(headers: dict[str, str], refused: bool) -> None:
    """Whatever a browser says of another site's page that asks."""
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    assert is_cross_site({"headers": [(b"host", b"a:1"), *pairs]}) is refused


def test_a_request_without_a_host() -> None:
    """No browser sends one; HTTP/1.0 allows it."""
    assert is_own_host({"headers": []})
    assert not is_own_host({"headers": [(b"host", b"\xff")]})
