"""agentd.web.page"""

from __future__ import annotations

import socket
import ssl

import pytest

from agentd.settings import Metrics
from agentd.web.page import is_own_name, is_wanted
from agentd.web.tls import Tls
from agentd.web.web_config import WebConfig

USERS = WebConfig(users={"prometheus": b"$2b$"})
TLS = WebConfig(tls=Tls(b"c", b"k"))
CERTIFIED = WebConfig(tls=Tls(b"c", b"k", b"ca", ssl.CERT_REQUIRED))


@pytest.mark.parametrize(
    ("page", "listen", "web_config", "wanted"),
    [
        ("auto", "127.0.0.1:9847", WebConfig(), True),
        ("auto", "localhost:9847", WebConfig(), True),
        ("auto", "[::1]:9847", WebConfig(), True),
        ("auto", "0.0.0.0:9847", WebConfig(), False),
        ("auto", "[::]:9847", WebConfig(), False),
        ("auto", "example.org:9847", WebConfig(), False),
        ("auto", "0.0.0.0:9847", TLS, False),
        ("auto", "0.0.0.0:9847", USERS, True),
        ("auto", "0.0.0.0:9847", CERTIFIED, True),
        ("on", "0.0.0.0:9847", WebConfig(), True),
        ("off", "127.0.0.1:9847", USERS, False),
    ],
)
def test_where_there_is_a_page(page: str, listen: str, web_config: WebConfig, wanted: bool) -> None:
    """By itself only where not just anybody on a network can ask."""
    assert is_wanted(Metrics(listen=listen, page=page), web_config) is wanted


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
        ("", False),
    ],
)
def test_which_names_are_believed(host: str, own: bool) -> None:
    """Addresses, localhost, and what this host is called."""
    assert is_own_name(host) is own
