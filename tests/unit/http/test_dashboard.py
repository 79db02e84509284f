"""agentd.http.dashboard"""

from __future__ import annotations

import ssl

import pytest

from agentd.config.schema import Metrics
from agentd.http.dashboard import is_wanted
from agentd.http.tls import Tls
from agentd.http.web_config import WebConfig

USERS = WebConfig(users={"prometheus": b"$2b$"})
TLS = WebConfig(tls=Tls(b"c", b"k"))
CERTIFIED = WebConfig(tls=Tls(b"c", b"k", b"ca", ssl.CERT_REQUIRED))


@pytest.mark.parametrize(
    ("page", "listen", "web_config", "wanted"),
    [
        ("auto", "127.0.0.1:9847", WebConfig(), False),
        ("auto", "0.0.0.0:9847", WebConfig(), False),
        ("auto", "0.0.0.0:9847", TLS, False),
        ("auto", "0.0.0.0:9847", USERS, True),
        ("auto", "0.0.0.0:9847", CERTIFIED, True),
        ("on", "0.0.0.0:9847", WebConfig(), True),
        ("off", "127.0.0.1:9847", USERS, False),
    ],
)
def test_where_there_is_a_page(page: str, listen: str, web_config: WebConfig, wanted: bool) -> None:
    """By itself only where not just anybody can ask."""
    assert is_wanted(Metrics(listen=listen, page=page), web_config) is wanted
